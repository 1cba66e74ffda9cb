// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC721URIStorage} from "@openzeppelin/contracts/token/ERC721/extensions/ERC721URIStorage.sol";

/// @notice OpenZeppelin's ERC-721 with an address for each token; its owner mints.
contract Badge is ERC721URIStorage, Ownable {
    uint256 public minted;

    constructor() ERC721("Badge", "BDG") Ownable(msg.sender) {}

    function mint(address to, string calldata uri) external onlyOwner returns (uint256 id) {
        id = ++minted;
        _safeMint(to, id);
        _setTokenURI(id, uri);
    }
}
