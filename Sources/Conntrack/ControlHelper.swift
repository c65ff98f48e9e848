import Base
import CLinux
import Memory

/// Follows the control connections of FTP and TFTP (`alg=`), which announce further connections: each becomes an
/// `ExpectedConnection`, whose first packet is `rel`, and where addresses are translated, the announced address is too.
///
/// - FTP: the client announces where it waits (PORT, EPRT), or the server does (227, 229). The announced address must be
///   that of who announces it, before or after translation; anything else is `inv`, since it would open a way to a
///   third party (RFC 2577, section 3). Ports are never rewritten, addresses are; what that does to TCP sequence
///   numbers is undone for every later segment by a `SequenceSkew`.
/// - TFTP: the server answers a request from a new port to the port that the request came from (RFC 1350, section 4).
///
/// A connection is followed if `alg=` was given when it was committed.
public enum ControlHelper {
    /// Whether a helper can follow connections of `tuple`, on whatever port.
    public static func fits(_ helper: TrackHelper, _ tuple: ConnectionTuple) -> Bool {
        switch helper {
        case .none: false
        case .ftp: tuple.ipProtocol == 6
        case .tftp: tuple.ipProtocol == 17
        }
    }

    /// A control connection, as its packets meet it.
    public struct Control: Sendable {
        public var original: ConnectionTuple
        public var reply: ConnectionTuple
        /// How it is translated itself.
        public var kind: NATKind
        /// The packet is of the reply direction.
        public var isReply: Bool
        /// The action translates.
        public var translates: Bool

        public init(
            original: ConnectionTuple, reply: ConnectionTuple, kind: NATKind, isReply: Bool, translates: Bool
        ) {
            self.original = original
            self.reply = reply
            self.kind = kind
            self.isReply = isReply
            self.translates = translates
        }
    }

    public enum Outcome: Equatable, Sendable {
        case nothing
        /// It announces what it must not: the packet is `inv`.
        case invalid
        /// To be added, with mark, label and parent filled in.
        case expects(ExpectedConnection)
    }

    /// Before the state machine sees a packet of an FTP control connection: acknowledgments of rewritten data become
    /// those that the sender of the data expects.
    public static func prepare(_ packet: Packet, _ control: Control, _ skew: SequenceSkew) {
        if control.translates, skew.isSet, control.isReply != skew.isReply { packet.moveAcknowledgments(skew) }
    }

    /// After state machine and translation: reads what a packet announces, rewrites it, moves sequence numbers.
    public static func follow(
        _ packet: Packet, _ control: Control, _ helper: TrackHelper, _ skew: inout SequenceSkew
    ) -> Outcome {
        switch helper {
        case .none: return .nothing
        case .tftp: return followTFTP(packet, control)
        case .ftp:
            let before = skew
            let outcome = followFTP(packet, control, &skew)
            if control.translates, before.isSet, before.isReply == control.isReply { packet.moveSequence(before) }
            return outcome
        }
    }

    // MARK: - FTP

    private static func followFTP(_ packet: Packet, _ control: Control, _ skew: inout SequenceSkew) -> Outcome {
        guard let segment = SegmentEdit(packet), !segment.payload.isEmpty else { return .nothing }
        let announcement: FTPAnnouncement
        switch FTPMessage(segment.payload, isIPv6: control.original.isIPv6) {
        case .other: return .nothing
        case .invalid: return .invalid
        case .announcement(let found): announcement = found
        }
        // Commands come from the client, replies from the server.
        guard announcement.isPassive == control.isReply else { return .nothing }
        let own = announcement.isPassive ? control.reply.src : control.original.src
        let translated = announcement.isPassive ? control.original.dst : control.reply.dst
        if let address = announcement.address {
            guard address == own || address == translated else { return .invalid }
            if control.translates, address != translated {
                let sequence = segment.word(4)
                if let delta = rewrite(segment, announcement, translated, isIPv6: control.original.isIPv6) {
                    skew.record(delta, at: sequence, isReply: control.isReply)
                }
            }
        }
        return .expects(expectation(control, port: announcement.port))
    }

    private static func rewrite(
        _ segment: SegmentEdit, _ announcement: FTPAnnouncement, _ address: UInt128, isIPv6: Bool
    ) -> Int? {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 16) { scratch in
            guard let text = scratch.baseAddress else { return nil }
            let binary = text + 48
            if isIPv6 {
                binary.store64(UInt64(truncatingIfNeeded: address &>> 64), 0)
                binary.store64(UInt64(truncatingIfNeeded: address), 8)
            } else {
                binary.store32(UInt32(truncatingIfNeeded: address), 0)
            }
            let characters = text.assumingMemoryBound(to: CChar.self)
            guard inet_ntop(isIPv6 ? AF_INET6 : AF_INET, binary, characters, 47) != nil else { return nil }
            var count = 0
            while characters[count] != 0 {
                if announcement.hasCommas, characters[count] == 46 { characters[count] = 44 }
                count += 1
            }
            return segment.replace(
                announcement.addressStart, announcement.addressCount,
                with: UnsafeRawBufferPointer(start: text, count: count), isIPv6: isIPv6)
        }
    }

    /// What the announced connection looks like from its own sender, and how it is translated: as its parent is.
    private static func expectation(_ control: Control, port: UInt16) -> ExpectedConnection {
        let (original, reply) = (control.original, control.reply)
        var tuple = original
        tuple.sourcePort = 0
        tuple.destinationPort = port
        var result: ExpectedConnection
        if control.isReply {
            // The client will connect, to the server as it knows it.
            result =
                control.kind == .destination
                ? ExpectedConnection(tuple: tuple, kind: .destination, address: reply.src)
                : ExpectedConnection(tuple: tuple, kind: .source, address: reply.dst)
        } else {
            // The server will connect, to the client as it knows it.
            tuple.src = reply.src
            tuple.dst = reply.dst
            result =
                control.kind == .destination
                ? ExpectedConnection(tuple: tuple, kind: .source, address: original.dst)
                : ExpectedConnection(tuple: tuple, kind: .destination, address: original.src)
        }
        result.parentTuple = original
        return result
    }

    // MARK: - TFTP

    /// Read and write requests. Their sender's port may have been translated; the answer comes to the translated one.
    private static func followTFTP(_ packet: Packet, _ control: Control) -> Outcome {
        let l4 = Int(packet.pointee.offsetL4)
        let end = Int(packet.pointee.length) &- Int(packet.pointee.padL2)
        guard !control.isReply, l4 != 0xffff, l4 &+ 10 <= end else { return .nothing }
        let opcode = UnsafeRawPointer(packet.pointee.data).be16(l4 &+ 8)
        guard opcode == 1 || opcode == 2 else { return .nothing }
        var result = expectation(control, port: control.reply.destinationPort)
        if result.kind == .destination, control.original.sourcePort != control.reply.destinationPort {
            result.port = control.original.sourcePort
        }
        return .expects(result)
    }
}
