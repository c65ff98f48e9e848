/// The timeouts of `CT_Timeout_Policy` (ovs-vswitchd.conf.db(5)), in the order of that manual.
///
/// Which state waits how long follows OVS's userspace tracker, which uses eleven of them; the others are kept and shown, and
/// have no effect, as in OVS.
public enum TimeoutName: Int, CaseIterable, Sendable {
    case tcpSynSent, tcpSynRecv, tcpEstablished, tcpFinWait, tcpCloseWait, tcpLastAck, tcpTimeWait, tcpClose
    case tcpSynSent2, tcpRetransmit, tcpUnack
    case udpFirst, udpSingle, udpMultiple
    case icmpFirst, icmpReply

    /// As in the database: `tcp_syn_sent`.
    public var name: String { Self.names[rawValue] }

    /// From a name written with `_` or `-`.
    public init?(name: String) {
        let plain = String(name.map { $0 == "-" ? "_" : $0 })
        guard let index = Self.names.firstIndex(of: plain) else { return nil }
        self = Self.allCases[index]
    }

    private static let names = [
        "tcp_syn_sent", "tcp_syn_recv", "tcp_established", "tcp_fin_wait", "tcp_close_wait", "tcp_last_ack",
        "tcp_time_wait", "tcp_close", "tcp_syn_sent2", "tcp_retransmit", "tcp_unack", "udp_first", "udp_single",
        "udp_multiple", "icmp_first", "icmp_reply",
    ]

    /// Seconds, as OVS's userspace tracker has them; of those without effect, the kernel's.
    public var defaultSeconds: UInt32 {
        switch self {
        case .tcpSynSent, .tcpSynRecv: 30
        case .tcpEstablished: 24 * 60 * 60
        case .tcpFinWait: 15 * 60
        case .tcpTimeWait: 45
        case .tcpClose: 30
        case .udpFirst, .udpSingle: 60
        case .udpMultiple: 30
        case .icmpFirst: 60
        case .icmpReply: 30
        case .tcpCloseWait: 60
        case .tcpLastAck: 30
        case .tcpSynSent2: 120
        case .tcpRetransmit, .tcpUnack: 300
        }
    }
}

/// A timeout for each name, in seconds.
public struct TimeoutPolicy: Equatable, Sendable {
    public var seconds: InlineArray<16, UInt32>

    public init() {
        seconds = InlineArray(repeating: 0)
        for name in TimeoutName.allCases { seconds[name.rawValue] = name.defaultSeconds }
    }

    public subscript(_ name: TimeoutName) -> UInt32 {
        get { seconds[name.rawValue] }
        set { seconds[name.rawValue] = newValue }
    }

    public static func == (a: Self, b: Self) -> Bool {
        for i in 0..<16 where a.seconds[i] != b.seconds[i] { return false }
        return true
    }
}
