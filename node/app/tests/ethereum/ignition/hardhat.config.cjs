// npm's compiler in place of the one that Hardhat would load from the network.
const { subtask } = require('hardhat/config')
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = require('hardhat/builtin-tasks/task-names')
const { version: longVersion } = require('solc')
require('@nomicfoundation/hardhat-ignition')

const version = require('solc/package.json').version

subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async () => ({
    compilerPath: require.resolve('solc/soljson.js'),
    isSolcJs: true,
    version,
    longVersion: longVersion(),
}))

module.exports = {
    solidity: { version, settings: { evmVersion: 'osaka' } },
    networks: {
        neura: {
            url: process.env.NEURA_URL ?? 'http://127.0.0.1:8545',
            accounts: process.env.NEURA_KEYS?.split(',') ?? [],
        },
    },
    ignition: { blockPollingInterval: 50, requiredConfirmations: 1 },
}
