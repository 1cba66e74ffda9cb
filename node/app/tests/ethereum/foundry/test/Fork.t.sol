// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Neura} from "@neura/contracts/Neura.sol";
import {NeuraFork} from "@neura/contracts/NeuraFork.sol";
import {Desk} from "../src/Desk.sol";
import {vm} from "../src/Vm.sol";

/// @notice Runs in a fork of a chain on which `DESK` has served two guests.
contract ForkTest {
    Desk internal desk = Desk(vm.envAddress("DESK"));

    function test_a_contract_is_read_and_written() external {
        require(desk.served() == 2, "what was done on the chain is seen");
        address guest = address(0xbeef);
        vm.prank(guest);
        require(desk.serve("third") == 3, "it goes on from there");
        require(desk.word(guest) == "third" && desk.served() == 3);
    }

    function test_blocks_look_as_on_the_chain() external view {
        require(block.chainid == vm.envUint("CHAIN_ID"));
        require(block.number >= vm.envUint("HEIGHT"));
        require(block.basefee > 0 && block.gaslimit > 0 && block.prevrandao != 0);
    }

    function test_the_storage_of_a_module_is_read_and_written() external {
        bytes32 slot = vm.envBytes32("SLOT");
        bytes32 value = vm.load(address(Neura.REQUESTERS), slot);
        require(value != 0 && value == vm.envBytes32("VALUE"), "the node's word is seen");
        vm.store(address(Neura.REQUESTERS), slot, bytes32(uint256(77)));
        require(uint256(vm.load(address(Neura.REQUESTERS), slot)) == 77);
        vm.deal(address(Neura.TASKS), 1 ether);
        require(address(Neura.TASKS).balance == 1 ether);
    }

    function test_a_module_does_not_run_in_a_fork() external view {
        require(address(Neura.STAKING).code.length == 1, "INVALID stands there");
        (bool ok, bytes memory data) = address(Neura.STAKING).staticcall{gas: 100_000}(abi.encodeCall(Neura.STAKING.count, ()));
        require(!ok && data.length == 0, "nothing pretends to be the module");
    }

    function test_attached_views_are_answered_by_the_node() external {
        NeuraFork.attach();
        require(Neura.STAKING.count() == vm.envUint("VALIDATORS"));
        require(desk.validators() == vm.envUint("VALIDATORS"), "contracts of the chain reach it too");
        require(!Neura.REQUESTERS.isRegistered(address(0xbeef)));
        require(Neura.STAKING.validators(0, 10).length == vm.envUint("VALIDATORS"), "answers of any shape");
        try Neura.TASKS.task(1 << 60) {
            revert("there is no such task");
        } catch (bytes memory refusal) {
            require(contains(refusal, "unknown_task: "), "a refusal keeps its reason");
        }
    }

    function test_attached_writes_are_refused() external {
        NeuraFork.attach();
        try desk.join(bytes32(uint256(1))) {
            revert("nothing would have been written");
        } catch Error(string memory reason) {
            require(contains(bytes(reason), "native_module_in_fork: "));
        }
    }

    function contains(bytes memory text, bytes memory part) private pure returns (bool) {
        for (uint256 start = 0; start + part.length <= text.length; start++) {
            uint256 same = 0;
            while (same < part.length && text[start + same] == part[same]) same++;
            if (same == part.length) return true;
        }
        return false;
    }
}
