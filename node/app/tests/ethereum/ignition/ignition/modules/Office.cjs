// Two contracts of which the second needs the first, and calls that need both.
const { buildModule } = require('@nomicfoundation/hardhat-ignition/modules')

module.exports = buildModule('Office', (m) => {
    const ledger = m.contract('Ledger')
    const clerk = m.contract('Clerk', [ledger])
    const appointed = m.call(ledger, 'appoint', [clerk])
    const recorded = m.call(clerk, 'record', [m.getParameter('amount', 7)], { after: [appointed] })
    m.readEventArgument(recorded, 'Noted', 'total', { emitter: ledger })
    return { ledger, clerk }
})
