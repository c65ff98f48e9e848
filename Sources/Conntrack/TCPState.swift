/// State of one peer of a TCP connection, in the order that OVS gives them. The tracker itself uses closed, SYN_SENT,
/// ESTABLISHED, CLOSING, FIN_WAIT_2 and TIME_WAIT.
public enum TCPState: UInt8, CaseIterable, Comparable, Sendable {
    case closed, listen, synSent, synReceived, established, closeWait, finWait1, closing, lastAck, finWait2, timeWait

    /// As in a dump: `FIN_WAIT_2`.
    public var name: String {
        switch self {
        case .closed: "CLOSED"
        case .listen: "LISTEN"
        case .synSent: "SYN_SENT"
        case .synReceived: "SYN_RECV"
        case .established: "ESTABLISHED"
        case .closeWait: "CLOSE_WAIT"
        case .finWait1: "FIN_WAIT_1"
        case .closing: "CLOSING"
        case .lastAck: "LAST_ACK"
        case .finWait2: "FIN_WAIT_2"
        case .timeWait: "TIME_WAIT"
        }
    }

    @inlinable public static func < (a: TCPState, b: TCPState) -> Bool { a.rawValue < b.rawValue }

    /// What a dump shows for both peers together: the further of the two, in the words of the kernel's tracker, which has
    /// one state only.
    public static func shown(_ a: TCPState, _ b: TCPState) -> TCPState {
        switch max(a, b) {
        case .finWait2: .timeWait
        case .synReceived: .established
        case let state: state
        }
    }
}

/// What is known about one peer of a TCP connection. 12 bytes.
struct TCPPeer {
    /// One more than the highest sequence number that it sent.
    var sequenceLow: UInt32 = 0
    /// The highest that it may send: what the other end acknowledged, plus its window.
    var sequenceHigh: UInt32 = 0
    /// The largest window that it announced, before scaling.
    var window: UInt16 = 0
    /// Window scale, 0 to 14, with `scaled` if it was negotiated, or `unknown` if the handshake was not seen.
    var scale: UInt8 = 0
    var state = TCPState.closed

    static var scaled: UInt8 { 0x80 }
    static var unknown: UInt8 { 0x40 }
    static var scaleMask: UInt8 { 0x0f }
    static var largestScale: UInt8 { 14 }
}

public enum TCPFlag {
    static var fin: UInt16 { 0x01 }
    @inlinable public static var syn: UInt16 { 0x02 }
    static var rst: UInt16 { 0x04 }
    static var psh: UInt16 { 0x08 }
    static var ack: UInt16 { 0x10 }
    static var urg: UInt16 { 0x20 }
}
