/// The layers at which a lookup in a subtable can end early, and which key bits belong to each.
///
/// The division is that of OVS (`struct flow`): what the datapath knows before the frame is parsed, Ethernet, network and
/// transport. Fields of several stages share a word of the key, so a stage is a set of bits, not of words.
enum LookupStage: Int, CaseIterable {
    case metadata, ethernet, network, transport

    /// The bits of a key word that belong to this stage; every bit belongs to exactly one.
    func bits(_ word: Int) -> UInt64 {
        let network = Self.networkBits(word)
        let transport = Self.transportBits(word)
        let ethernet = Self.ethernetBits(word)
        switch self {
        case .metadata: return ~(ethernet | network | transport)
        case .ethernet: return ethernet
        case .network: return network
        case .transport: return transport
        }
    }

    private static func ethernetBits(_ word: Int) -> UInt64 {
        switch word {
        case 0: 0x0000_0000_ffff_ffff  // eth_type, vlan_tci; above it in_port
        case 1, 2: 0xffff_ffff_ffff_0000  // eth_dst, eth_src
        case 4: 0x0000_0000_0000_ffff  // TPID
        case 5: 0xffff_ffff_0000_0000  // inner VLAN tag
        case 14: ~0  // MPLS
        case 15: 0xffff_ffff_0000_0000  // third MPLS entry
        default: 0
        }
    }

    private static func networkBits(_ word: Int) -> UInt64 {
        switch word {
        case 2: 0x0000_0000_0000_ffff  // TOS, TTL
        case 3: ~0  // IPv4 addresses
        case 4: 0xffff_0000_0000_0000  // protocol, fragment
        case 5: 0x0000_0000_ffff_ffff  // IPv6 label
        case 6...9: ~0  // IPv6 addresses
        case 22, 24...27: ~0  // addresses of the connection
        default: 0
        }
    }

    private static func transportBits(_ word: Int) -> UInt64 {
        switch word {
        case 1: 0x0000_0000_0000_ffff  // TCP flags
        case 4: 0x0000_ffff_ffff_0000  // ports
        case 10...13: ~0  // ARP and ND addresses
        case 15: 0x0000_0000_ffff_ffff  // IGMP group
        case 16: 0xffff_ffff_0000_0000  // ND reserved; below it packet_type
        case 23: ~0  // ports of the connection
        default: 0
        }
    }
}
