import Base
import Conntrack
import Flow
import FrameSupport
import Memory

/// A tracker, a pool and a clock: frames go in, what `ct` found out comes back.
final class TrackerBench {
    let tracker: ConnectionTracker
    var pool = PacketPool(small: 64, large: 1)
    var now: UInt64 = 1_000_000
    var worker = 0
    var request = TrackRequest()

    init(_ change: (inout TrackerConfiguration) -> Void = { _ in }, workers: Int = 1) {
        var configuration = TrackerConfiguration(seed: 7)
        configuration.limit = 10_000
        configuration.capacity = 20_000
        change(&configuration)
        tracker = ConnectionTracker(configuration, workers: workers)
    }

    /// One worker's bench of a tracker that several share.
    init(sharing tracker: ConnectionTracker, worker: Int) {
        self.tracker = tracker
        self.worker = worker
    }

    struct Outcome: Equatable {
        var state: UInt64
        var zone: UInt16
        var mark: UInt32
        var label: UInt128
        var ipProtocol: UInt8
        var frame: [UInt8]
        var handle: UInt64
        var tuple: [UInt64]

        var text: String { TrackState.text(state) }
    }

    static func outcome(_ packet: Packet) -> Outcome {
        let words = packet.pointee.tracking
        return Outcome(
            state: words[0] >> 8 & 0xff, zone: UInt16(truncatingIfNeeded: words[0] >> 16),
            mark: UInt32(truncatingIfNeeded: words[0] >> 32), label: UInt128(words[1]) << 64 | UInt128(words[2]),
            ipProtocol: UInt8(truncatingIfNeeded: words[0]), frame: FrameSupport.bytes(packet),
            handle: packet.pointee.connection, tuple: (3..<9).map { words[$0] })
    }

    /// What a session would compare: the words of the key that name protocol, addresses and ports.
    static func names(_ frame: [UInt8]) -> [UInt64] {
        var pool = PacketPool(small: 1, large: 0)
        let packet = FrameSupport.packet(frame, from: &pool)
        return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: FlowKey.wordCount) { words in
            words.initialize(repeating: 0)
            _ = extractKey(packet, into: words.baseAddress!, vlanLimit: 1)
            return [words[0], words[3], words[4]] + (6..<10).map { words[$0] }
        }
    }

    /// A packet with its offsets known.
    func packet(_ frame: [UInt8]) -> Packet {
        let packet = FrameSupport.packet(frame, from: &pool)
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: FlowKey.wordCount) { words in
            words.initialize(repeating: 0)
            _ = extractKey(packet, into: words.baseAddress!, vlanLimit: 1)
        }
        return packet
    }

    /// Takes a frame through each of the requests in turn.
    func outcomes(_ frame: [UInt8], _ requests: [TrackRequest]) -> [Outcome] {
        let packet = packet(frame)
        defer { pool.free(packet) }
        return requests.map { request in
            withUnsafePointer(to: request) { _ = tracker.track(packet, $0, now: now, worker: worker) }
            return Self.outcome(packet)
        }
    }

    /// What a session keeps of a packet that has been through `track`.
    struct Memory {
        var guardWord: UInt64
        var passage: SessionTrack
        var isTCP: Bool
    }

    /// What the next packet like this one may be admitted by; nil if it may find something else.
    static func memory(_ packet: Packet, ipProtocol: UInt8) -> Memory? {
        guard packet.pointee.guardWord != 0, ipProtocol == 6 || ipProtocol == 17 else { return nil }
        return Memory(
            guardWord: packet.pointee.guardWord, passage: SessionTrack(packet.pointee), isTCP: ipProtocol == 6)
    }

    /// Takes a packet through what is remembered, with all that a session does for it. False, and nothing has happened, if the
    /// guard does not hold.
    func admit(_ packet: Packet, _ memory: Memory) -> Bool {
        let length = UInt64(packet.pointee.length)
        let admitted = withUnsafePointer(to: memory.guardWord) { guards in
            withUnsafePointer(to: memory.passage) {
                tracker.admit(packet, guards, $0, count: 1, meetings: 1, isTCP: memory.isTCP, now: now)
            }
        }
        guard admitted == 1 else { return false }
        if memory.passage.traits.contains(.translated) {
            tracker.translate(packet, memory.guardWord, isReply: memory.passage.traits.contains(.reply))
        }
        tracker.recall(packet, memory.guardWord, memory.passage)
        tracker.credit(memory.guardWord, memory.passage, packets: 1, bytes: length)
        tracker.count(memory.passage, packets: 1, worker: worker)
        return true
    }

    func outcome(_ frame: [UInt8], _ request: TrackRequest) -> Outcome { outcomes(frame, [request])[0] }

    /// `ct(zone=Z)` and, if new, `ct(commit, zone=Z)`, as most rules do. The first's state.
    @discardableResult
    func send(_ frame: [UInt8], zone: UInt16 = 0, commits: Bool = true) -> String {
        var look = TrackRequest()
        look.zone = zone
        let packet = packet(frame)
        defer { pool.free(packet) }
        withUnsafePointer(to: look) { _ = tracker.track(packet, $0, now: now, worker: worker) }
        let outcome = Self.outcome(packet)
        if commits, outcome.state & TrackState.new != 0 {
            look.commits = true
            withUnsafePointer(to: look) { _ = tracker.track(packet, $0, now: now, worker: worker) }
        }
        return outcome.text
    }

    func dump(zone: UInt16? = nil, _ detail: ConnectionSnapshot.Detail = []) -> [String] {
        tracker.connections(zone: zone, now: now).map { $0.text(detail) }.sorted()
    }

    /// Ends what the filter names, as `ct/flush` does; how many that were.
    func flush(_ filter: ConnectionFilter) -> Int {
        if let tuple = filter.tuple { return tracker.flush(tuple, now: now) ? 1 : 0 }
        if filter.isWholeZone { return tracker.flush(zone: filter.zone) }
        var ended = 0
        var walk = ConnectionWalk(filter)
        while !walk.isDone {
            var found: [ConnectionHandle] = []
            walk.step(tracker, slots: 1000, now: now) {
                found.append(ConnectionHandle(rawValue: $0.handle))
                return true
            }
            ended += tracker.flush(found)
        }
        return ended
    }

    /// Lets time pass, with all that upkeep does meanwhile.
    func advance(_ milliseconds: UInt64) {
        now += milliseconds
        settle()
    }

    /// Everything that is due happens; what has rested may be used again.
    func settle() {
        for _ in 0..<4 {
            for worker in 0..<tracker.workers { tracker.quiescent(worker: worker) }
            while tracker.upkeep(now: now) {}
        }
    }
}

let alice: UInt32 = 0x0a01_000a
let bob: UInt32 = 0x0a02_0001
let alice6: UInt128 = 0x2001_0db8_0001_0000_0000_0000_0000_000a
let bob6: UInt128 = 0x2001_0db8_0002_0000_0000_0000_0000_0001

func udpFrame(_ src: UInt32 = alice, _ dst: UInt32 = bob, _ sport: UInt16 = 1000, _ dport: UInt16 = 53) -> [UInt8] {
    ethernet(type: 0x800, ipv4(src, dst, ipProtocol: 17, udp(.v4(src, dst), sport, dport, payload: [1, 2, 3])))
}

func pingFrame(_ src: UInt32, _ dst: UInt32, type: UInt8, id: UInt16) -> [UInt8] {
    ethernet(type: 0x800, ipv4(src, dst, ipProtocol: 1, icmp(type: type, be16(id) + be16(1) + [1, 2, 3, 4])))
}

/// A TCP segment with everything that the state machine looks at.
struct Segment {
    var src = alice
    var dst = bob
    var sport: UInt16 = 3000
    var dport: UInt16 = 80
    var flags: UInt16 = 0x10
    var seq: UInt32 = 0
    var ack: UInt32 = 0
    var window: UInt16 = 8192
    var options: [UInt8] = []
    var length = 0
    var isIPv6 = false

    var frame: [UInt8] {
        let control = UInt16(5 + options.count / 4) << 12 | flags
        var message = be16(sport) + be16(dport) + be32(seq) + be32(ack) + be16(control) + be16(window)
        message += be16(0) + be16(0) + options + [UInt8](repeating: 7, count: length)
        let a6 = src == alice ? alice6 : bob6
        let b6 = dst == alice ? alice6 : bob6
        let addresses: Addresses = isIPv6 ? .v6(a6, b6) : .v4(src, dst)
        let sum = checksum(addresses.pseudoHeader + be32(UInt32(message.count)) + be32(6) + message)
        message.replaceSubrange(16..<18, with: be16(sum))
        return isIPv6
            ? ethernet(type: 0x86dd, ipv6(a6, b6, nextHeader: 6, message))
            : ethernet(type: 0x800, ipv4(src, dst, ipProtocol: 6, message))
    }
}

/// Both ends of a TCP connection, which know their sequence numbers.
struct Conversation {
    var client: UInt32 = 1000
    var server: UInt32 = 50_000
    var port: UInt16 = 3000
    var isIPv6 = false

    static var syn: UInt16 { 2 }
    static var ack: UInt16 { 0x10 }
    static var fin: UInt16 { 1 }
    static var rst: UInt16 { 4 }

    /// From the client; the sequence number moves on by what was sent.
    mutating func up(_ flags: UInt16, _ length: Int = 0, options: [UInt8] = []) -> [UInt8] {
        let segment = Segment(
            sport: port, flags: flags, seq: client, ack: flags & 0x10 != 0 ? server : 0, options: options,
            length: length, isIPv6: isIPv6)
        client &+= UInt32(length) &+ (flags & 3 != 0 ? 1 : 0)
        return segment.frame
    }

    mutating func down(_ flags: UInt16, _ length: Int = 0, options: [UInt8] = []) -> [UInt8] {
        let segment = Segment(
            src: bob, dst: alice, sport: 80, dport: port, flags: flags, seq: server,
            ack: flags & 0x10 != 0 ? client : 0, options: options, length: length, isIPv6: isIPv6)
        server &+= UInt32(length) &+ (flags & 3 != 0 ? 1 : 0)
        return segment.frame
    }
}

extension ConnectionTracker {
    /// All connections, or those of a zone, that have not expired, in no order.
    func connections(zone: UInt16? = nil, now: UInt64) -> [ConnectionSnapshot] {
        var result: [ConnectionSnapshot] = []
        var cursor: UInt32 = 1
        while visit(from: &cursor, steps: 1024, zone: zone, now: now, { result.append($0) }) {}
        return result
    }
}
