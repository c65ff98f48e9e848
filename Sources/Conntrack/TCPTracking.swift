import Base

// The TCP state machine, with the window tracking of Guido van Rooij, "Real Stateful TCP Packet Filtering in IP Filter"
// (2000), as pf and OVS have it.
//
// Each peer has a state of its own. What it may send is bounded by what the other end acknowledged plus its window, and by
// how far back a retransmission can reach. A segment outside of that is invalid and changes nothing. Sequence numbers are
// compared modulo 2^32 (RFC 9293, section 3.4).

/// The parts of a segment that the state machine looks at.
struct TCPSegment {
    var sequence: UInt32
    var acknowledgment: UInt32
    var flags: UInt16
    var window: UInt16
    /// Bytes of payload.
    var length: UInt32
    /// Start of the header, for its options.
    let start: UnsafeRawPointer

    /// `start`: a TCP header that is there in full, options included; `byteCount`: of header and payload.
    @inline(__always) init(_ start: UnsafeRawPointer, byteCount: Int) {
        self.start = start
        sequence = start.be32(4)
        acknowledgment = start.be32(8)
        let control = start.be16(12)
        flags = control & 0x0fff
        window = start.be16(14)
        length = UInt32(truncatingIfNeeded: byteCount &- Int(control &>> 12) &* 4)
    }

    @inline(__always) func has(_ flag: UInt16) -> Bool { flags & flag != 0 }

    /// Combinations that no TCP sends: SYN with RST or FIN; neither ACK nor SYN nor RST; FIN, PSH or URG without ACK.
    @inline(__always) var hasImpossibleFlags: Bool {
        if has(TCPFlag.syn) {
            if has(TCPFlag.rst | TCPFlag.fin) { return true }
        } else if !has(TCPFlag.ack | TCPFlag.rst) {
            return true
        }
        return !has(TCPFlag.ack) && has(TCPFlag.fin | TCPFlag.psh | TCPFlag.urg)
    }

    /// RFC 7323, section 2.2, with `TCPPeer.scaled`; 0 if the option is not there. A kind other than padding is taken to
    /// be at least two bytes long, whatever it says.
    var windowScale: UInt8 {
        var at = 20
        var left = Int(start.byte(12) &>> 4) &* 4 &- 20
        var scale: UInt8 = 0
        while left >= 3 {
            let kind = start.byte(at)
            if kind == 0 { return scale }
            if kind == 1 {
                at &+= 1
                left &-= 1
                continue
            }
            if kind == 3 { scale = min(start.byte(at &+ 2), TCPPeer.largestScale) | TCPPeer.scaled }
            let length = max(Int(start.byte(at &+ 1)), 2)
            at &+= length
            left &-= length
        }
        return scale
    }
}

/// What a packet did to its connection.
enum TrackOutcome {
    case valid
    case validNew
    case invalid
    /// A SYN on a connection that both sides closed: it begins a new one. Nothing was changed.
    case reopens
}

/// What the state machine needs from outside.
struct TCPPolicy {
    var checksSequenceNumbers: Bool
    var isLiberal: Bool
}

/// A state change of a TCP connection: what became of the packet, and which timeout runs from now on (nil: the old one).
struct TCPResult {
    var outcome: TrackOutcome
    var timeout: TimeoutName?
    var counter: TrackCounter?
}

extension TCPSegment {
    /// May begin a connection: a SYN, or a segment from the middle. A SYN with ACK would be an answer.
    @inline(__always) var mayBegin: Bool { !hasImpossibleFlags && !(has(TCPFlag.syn) && has(TCPFlag.ack)) }

    /// Sets up both peers from the first segment.
    func begin(_ peers: UnsafeMutablePointer<TCPPeer>) {
        var sender = TCPPeer()
        var receiver = TCPPeer()
        sender.sequenceLow = sequence
        sender.sequenceHigh = sequence &+ length &+ 1
        if has(TCPFlag.syn) {
            sender.sequenceHigh &+= 1
            sender.scale = windowScale
        } else {
            sender.scale = TCPPeer.unknown
            receiver.scale = TCPPeer.unknown
        }
        sender.window = max(window, 1)
        if sender.scale & TCPPeer.scaleMask != 0 {
            sender.window = Self.unscaled(sender.window, by: sender.scale & TCPPeer.scaleMask)
        }
        if has(TCPFlag.fin) { sender.sequenceHigh &+= 1 }
        receiver.sequenceHigh = 1
        receiver.window = 1
        sender.state = .synSent
        peers[0] = sender
        peers[1] = receiver
    }

    /// The window of a SYN is never scaled (RFC 7323, section 2.2); kept as if it were.
    static func unscaled(_ window: UInt16, by scale: UInt8) -> UInt16 {
        UInt16(truncatingIfNeeded: (UInt32(window) &+ (1 &<< UInt32(scale)) &- 1) &>> UInt32(scale))
    }

    /// `a >= b` in sequence space.
    @inline(__always) static func notBefore(_ a: UInt32, _ b: UInt32) -> Bool { Int32(bitPattern: a &- b) >= 0 }
    @inline(__always) static func after(_ a: UInt32, _ b: UInt32) -> Bool { Int32(bitPattern: a &- b) > 0 }

    /// Slack on acknowledgments: one full unscaled window and a segment.
    private static var slack: Int32 { 0xffff + 1500 }

    /// Takes the segment through the state machine.
    func update(_ peers: UnsafeMutablePointer<TCPPeer>, isReply: Bool, policy: TCPPolicy) -> TCPResult {
        if hasImpossibleFlags { return TCPResult(outcome: .invalid, timeout: nil, counter: .badTCPFlags) }
        var sender = peers[isReply ? 1 : 0]
        var receiver = peers[isReply ? 0 : 1]

        if flags & (TCPFlag.syn | TCPFlag.ack) == TCPFlag.syn {
            if receiver.state >= .finWait2, sender.state >= .finWait2 {
                return TCPResult(outcome: .reopens, timeout: nil, counter: nil)
            }
            if sender.state <= .synSent {
                peers[isReply ? 1 : 0].state = .synSent
                return TCPResult(outcome: .validNew, timeout: .tcpSynSent, counter: nil)
            }
        }

        var numbers = SegmentNumbers(self, sender, receiver)
        if sender.state < .synSent { numbers.firstFrom(&sender, &receiver, self) }
        numbers.settle(self, sender, receiver)

        var result = TCPResult(outcome: .valid, timeout: nil, counter: nil)
        if isInside(numbers, sender, receiver) || !policy.checksSequenceNumbers {
            slide(numbers, &sender, &receiver)
            advance(&sender, &receiver)
            result.timeout = Self.timeout(sender.state, receiver.state)
        } else if isTolerable(numbers, sender, receiver) {
            // Simultaneous SYNs, a connection picked up in the middle, or late segments after a close. The timeout is left
            // alone, so that a flood of these keeps nothing alive.
            slide(numbers, &sender, &receiver)
            if has(TCPFlag.fin), sender.state < .closing { sender.state = .closing }
            if has(TCPFlag.rst) {
                sender.state = .timeWait
                receiver.state = .timeWait
            }
        } else if policy.isLiberal, !has(TCPFlag.rst) {
            return result
        } else {
            return TCPResult(outcome: .invalid, timeout: nil, counter: .outsideWindow)
        }
        peers[isReply ? 1 : 0] = sender
        peers[isReply ? 0 : 1] = receiver
        return result
    }

    /// The four bounds: not beyond what the receiver allows, not further back than a window, acknowledging neither too old
    /// nor unsent data. A reset must moreover hit the expected number, give or take one (RFC 5961, section 3.2).
    @inline(__always)
    private func isInside(_ n: SegmentNumbers, _ sender: TCPPeer, _ receiver: TCPPeer) -> Bool {
        let skew = n.checksAcknowledgment ? Int32(bitPattern: receiver.sequenceLow &- n.acknowledgment) : 0
        return Self.notBefore(sender.sequenceHigh, n.end)
            && Self.notBefore(n.start, sender.sequenceLow &- UInt32(receiver.window) &<< n.receiverScale)
            && skew >= -Self.slack
            && skew <= Self.slack &<< Int32(truncatingIfNeeded: n.senderScale)
            && (!has(TCPFlag.rst) || sequence &- sender.sequenceLow &+ 1 <= 2)
    }

    @inline(__always)
    private func isTolerable(_ n: SegmentNumbers, _ sender: TCPPeer, _ receiver: TCPPeer) -> Bool {
        let slack = UInt32(bitPattern: Self.slack)
        return (receiver.state < .synSent || receiver.state >= .finWait2 || sender.state >= .finWait2)
            && Self.notBefore(sender.sequenceHigh &+ slack, n.end)
            && Self.notBefore(n.start, sender.sequenceLow &- slack)
    }

    /// Moves both windows on.
    @inline(__always)
    private func slide(_ n: SegmentNumbers, _ sender: inout TCPPeer, _ receiver: inout TCPPeer) {
        if sender.window < n.window { sender.window = n.window }
        if Self.after(n.end, sender.sequenceLow) { sender.sequenceLow = n.end }
        let scaled = UInt32(n.window) &<< n.senderScale
        if Self.notBefore(n.acknowledgment &+ scaled, receiver.sequenceHigh) {
            receiver.sequenceHigh = n.acknowledgment &+ max(scaled, 1)
        }
    }

    @inline(__always)
    private func advance(_ sender: inout TCPPeer, _ receiver: inout TCPPeer) {
        if has(TCPFlag.syn), sender.state < .synSent { sender.state = .synSent }
        if has(TCPFlag.fin), sender.state < .closing { sender.state = .closing }
        if has(TCPFlag.ack) {
            if receiver.state == .synSent {
                receiver.state = .established
            } else if receiver.state == .closing {
                receiver.state = .finWait2
            }
        }
        if has(TCPFlag.rst) {
            sender.state = .timeWait
            receiver.state = .timeWait
        }
    }

    @inline(__always)
    static func timeout(_ a: TCPState, _ b: TCPState) -> TimeoutName {
        let further = max(a, b)
        let behind = min(a, b)
        if behind >= .finWait2 { return .tcpClose }
        if behind >= .closing { return .tcpTimeWait }
        if behind < .established { return .tcpSynRecv }
        return further >= .closing ? .tcpFinWait : .tcpEstablished
    }
}

/// The numbers of a segment as the checks want them.
private struct SegmentNumbers {
    var start: UInt32
    /// One behind the last byte; SYN and FIN count.
    var end: UInt32
    var acknowledgment: UInt32
    var window: UInt16
    var senderScale: UInt32 = 0
    var receiverScale: UInt32 = 0
    var checksAcknowledgment = true

    @inline(__always) init(_ segment: TCPSegment, _ sender: TCPPeer, _ receiver: TCPPeer) {
        start = segment.sequence
        end = segment.sequence &+ segment.length
        if segment.has(TCPFlag.syn) { end &+= 1 }
        if segment.has(TCPFlag.fin) { end &+= 1 }
        acknowledgment = segment.acknowledgment
        window = segment.window
        guard !segment.has(TCPFlag.syn) else { return }
        if sender.scale & receiver.scale & TCPPeer.scaled != 0 {
            senderScale = UInt32(sender.scale & TCPPeer.scaleMask)
            receiverScale = UInt32(receiver.scale & TCPPeer.scaleMask)
        } else if sender.scale & receiver.scale & TCPPeer.unknown != 0 {
            senderScale = UInt32(TCPPeer.largestScale)
            receiverScale = UInt32(TCPPeer.largestScale)
        }
    }

    /// The first segment of the side that answers.
    mutating func firstFrom(_ sender: inout TCPPeer, _ receiver: inout TCPPeer, _ segment: TCPSegment) {
        if segment.has(TCPFlag.syn), receiver.scale & TCPPeer.scaled != 0 {
            sender.scale = segment.windowScale
            if sender.scale & TCPPeer.scaled != 0 {
                senderScale = UInt32(sender.scale & TCPPeer.scaleMask)
                window = TCPSegment.unscaled(window, by: sender.scale & TCPPeer.scaleMask)
                receiverScale = UInt32(receiver.scale & TCPPeer.scaleMask)
            } else {
                // Refused: the window that was kept as if scaled becomes plain again.
                receiver.window = receiver.window &<< UInt16(receiver.scale & TCPPeer.scaleMask)
                receiver.scale = 0
            }
        }
        sender.sequenceLow = segment.sequence
        sender.state = .synSent
        let high = end &+ max(1, UInt32(receiver.window) &<< receiverScale)
        if sender.sequenceHigh == 1 || TCPSegment.notBefore(high, sender.sequenceHigh) {
            sender.sequenceHigh = high
            checksAcknowledgment = false
        }
        if window > sender.window { sender.window = window }
    }

    /// No acknowledgment, or a reset that gives 0 for one, passes that check; a segment without length passes those of
    /// the sequence number.
    @inline(__always) mutating func settle(_ segment: TCPSegment, _ sender: TCPPeer, _ receiver: TCPPeer) {
        if !segment.has(TCPFlag.ack) || (acknowledgment == 0 && segment.has(TCPFlag.rst)) {
            acknowledgment = receiver.sequenceLow
        }
        if start == end {
            start = sender.sequenceLow
            end = start
        }
    }
}
