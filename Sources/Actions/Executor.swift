import Base
import CLinux
import Conntrack
import Memory
import Shaping

// Runs a datapath program over a frame.
//
// A program is trusted: the translator wrote it with `ProgramBuilder`. A frame is not: whatever an op needs is checked
// (see Rewrite.swift), and a frame that is too short for an edit is dropped as `malformedRewrite`.
//
// Ownership: `execute` takes the frame over. It ends in a batch of `OutputBatches` or back in the pool. An output that
// is the last thing a program does moves the frame; an earlier one sends a copy. The same holds for bodies: the last
// op's body runs on the frame itself.
//
// Counting: a frame that left on at least one port counts as sent. One that left nowhere adds one to exactly one
// drop counter: that of the first reason met, `noOutput` if there was none. So `frames = sent + Σ drops`, whatever
// the program. Copies that were lost for want of a buffer while others were sent are in the outcome, not in a drop
// counter.
//
// Cost: a program that only sends is one load, one compare and one store into the batch. Nothing here allocates or
// counts references.
public enum Executor {
    /// - Parameters:
    ///   - words: the program, `count` words.
    ///   - drops: one counter for each `DropReason`: those of the port that the frame came in through. Other threads may
    ///     read them.
    ///   - services: what tracking and recirculation need; without them such ops drop the frame.
    /// - Returns: how often the frame was sent; 0 if it was dropped, which has been counted.
    @inlinable @inline(__always) @discardableResult
    public static func execute(
        _ words: UnsafePointer<UInt64>, count: Int, on packet: Packet, pool: inout PacketPool,
        outputs: borrowing OutputBatches, drops: UnsafeMutablePointer<UInt64>,
        services: UnsafeMutablePointer<ExecutionServices>? = nil
    ) -> Outcome {
        if count == 1, words[0] &>> 56 == UInt64(DatapathOp.output.rawValue) {
            if outputs.append(packet, to: UInt32(truncatingIfNeeded: words[0])) { return Outcome(sent: 1, lost: 0) }
        }
        return executeWhole(
            words, count: count, on: packet, pool: &pool, outputs: outputs, drops: drops, services: services)
    }

    /// The same for any program, out of line.
    @inline(never)
    public static func executeWhole(
        _ words: UnsafePointer<UInt64>, count: Int, on packet: Packet, pool: inout PacketPool,
        outputs: borrowing OutputBatches, drops: UnsafeMutablePointer<UInt64>,
        services: UnsafeMutablePointer<ExecutionServices>?
    ) -> Outcome {
        var run = Run(words: words, services: services, drops: drops)
        run.body(0, count, packet, &pool, outputs)
        run.countDrop()
        return Outcome(sent: run.sent, lost: run.lost, held: run.held, surplus: run.surplus)
    }

    /// What became of a frame.
    public struct Outcome: Equatable, Sendable {
        /// Frames put into batches: on how many ports it was sent.
        public var sent: UInt32
        /// Copies that were to be sent and could not be made for want of a buffer.
        public var lost: UInt32
        /// Frames that wait to be put together with others.
        public var held: UInt32
        /// Copies made of frames that waited, and went on with this one.
        public var surplus: UInt32

        @inlinable public init(sent: UInt32, lost: UInt32, held: UInt32 = 0, surplus: UInt32 = 0) {
            self.sent = sent
            self.lost = lost
            self.held = held
            self.surplus = surplus
        }

        /// Frames that one frame has become, wherever they went.
        @inlinable public var ends: UInt32 { sent &+ lost &+ held &+ (sent | held == 0 ? 1 : 0) }
    }
}

/// The state of one execution.
struct Run {
    let words: UnsafePointer<UInt64>
    let services: UnsafeMutablePointer<ExecutionServices>?
    /// Frames put into batches, or sent back to the tables.
    var sent: UInt32 = 0
    /// Raw value of the first `DropReason` met.
    var reason: UInt8?
    /// Copies that could not be made.
    var lost: UInt32 = 0
    /// Frames that wait for the rest of their datagram.
    var held: UInt32 = 0
    /// Copies made of frames that had waited.
    var surplus: UInt32 = 0
    let drops: UnsafeMutablePointer<UInt64>

    init(
        words: UnsafePointer<UInt64>, services: UnsafeMutablePointer<ExecutionServices>?,
        drops: UnsafeMutablePointer<UInt64>
    ) {
        self.words = words
        self.services = services
        self.drops = drops
    }

    /// A frame that went nowhere is a drop, for the first reason that was met.
    func countDrop() {
        if sent | held == 0 { Self.add(1, to: drops + Int(reason ?? DropReason.noOutput.rawValue)) }
    }

    /// Other threads read the counters.
    static func add(_ count: UInt64, to counter: UnsafeMutablePointer<UInt64>) {
        weft_atomic_store(counter, weft_atomic_load(counter) &+ count)
    }

    mutating func note(_ reason: DropReason) { note(reason.rawValue) }

    mutating func note(_ raw: UInt8) {
        if reason == nil { reason = raw & 63 }
    }

    /// Runs the ops from `start` up to `end` on `packet` and disposes of it.
    mutating func body(
        _ start: Int, _ end: Int, _ packet: Packet, _ pool: inout PacketPool, _ outputs: borrowing OutputBatches
    ) {
        var at = start
        // Bytes that the next output may send.
        var limit = UInt32.max
        while at < end {
            let head = words[at]
            let immediate = UInt32(truncatingIfNeeded: head)
            let operands = words + at + 1
            let next = at &+ 1 &+ Int(UInt16(truncatingIfNeeded: head &>> 32))
            guard let op = DatapathOp(code: UInt8(truncatingIfNeeded: head &>> 56)) else { break }
            switch op {
            case .output:
                if next >= end {
                    send(packet, to: immediate, limit, &pool, outputs)
                    return
                }
                sendCopy(of: packet, to: immediate, limit, &pool, outputs)
                limit = .max
            case .truncate:
                limit = Swift.max(immediate, 14)
            case .drop:
                note(UInt8(truncatingIfNeeded: immediate))
                pool.free(packet)
                return
            case .controller:
                let isMetered = UInt8(truncatingIfNeeded: head &>> 48) & 1 != 0
                let passes = !isMetered || admits(packet, UInt32(truncatingIfNeeded: operands[0]))
                note(passes ? .controllerAction : .meterExceeded)
            case .meter:
                if !admits(packet, immediate) {
                    note(.meterExceeded)
                    pool.free(packet)
                    return
                }
            case .track:
                switch track(packet, immediate, operands, &pool) {
                case .goesOn: break
                case .ends: return
                case .refuses:
                    reject(packet, &pool, outputs)
                    return
                case .isWhole:
                    Executor.finish(&self, at: next, end, &pool, outputs)
                    return
                }
            case .trackClear:
                ConnectionTracker.clear(packet)
            case .translate:
                translate(packet, immediate, isReply: head &>> 48 & 1 != 0)
            case .recirculate:
                if next >= end {
                    recirculate(packet, immediate, &pool)
                    return
                }
                if let twin = copy(packet, &pool) { recirculate(twin, immediate, &pool) }
            case .reject:
                reject(packet, &pool, outputs)
                return
            case .answer:
                answer(packet, mac: operands[0], &pool, outputs)
                return
            case .clone:
                let after = next &+ Int(immediate)
                if after >= end {
                    body(next, end, packet, &pool, outputs)
                    return
                }
                if let twin = copy(packet, &pool) { body(next, after, twin, &pool, outputs) }
                limit = .max
                at = after
                continue
            case .checkLength:
                let larger = Int(operands[0] &>> 32)
                let other = Int(operands[0] & 0xffff_ffff)
                let after = next &+ larger &+ other
                let isLarger = Swift.min(packet.pointee.length, limit) &- UInt32(packet.pointee.padL2) > immediate
                let from = isLarger ? next : next &+ larger
                let to = isLarger ? next &+ larger : after
                if after >= end {
                    body(from, to, packet, &pool, outputs)
                    return
                }
                if to > from, let twin = copy(packet, &pool) { body(from, to, twin, &pool, outputs) }
                at = after
                continue
            default:
                if !rewrite(op, head, operands, packet) {
                    note(.malformedRewrite)
                    pool.free(packet)
                    return
                }
            }
            at = next
        }
        pool.free(packet)
    }

    /// Whether a meter takes the frame. One of `trace` takes no tokens, and passes.
    private func admits(_ packet: Packet, _ number: UInt32) -> Bool {
        guard let services, !services.pointee.isRehearsal, let meters = services.pointee.meters else { return true }
        return meters.admits(number, bytes: packet.pointee.length, now: services.pointee.now)
    }

    private mutating func recirculate(_ packet: Packet, _ id: UInt32, _ pool: inout PacketPool) {
        if let services, services.pointee.isRehearsal {
            sent &+= 1
            pool.free(packet)
            return
        }
        if packet.pointee.recirculations >= RecirculationQueue.maximumDepth {
            note(.recirculationDepth)
        } else if let services, services.pointee.recirculations.append(packet, id) {
            packet.pointee.recirculations &+= 1
            packet.pointee.frozen = id
            sent &+= 1
            return
        } else {
            note(.recirculationsFull)
        }
        pool.free(packet)
    }

    private mutating func copy(_ packet: Packet, _ pool: inout PacketPool) -> Packet? {
        if let twin = pool.copy(packet) { return twin }
        note(.noBuffer)
        lost &+= 1
        return nil
    }

    private mutating func sendCopy(
        of packet: Packet, to port: UInt32, _ limit: UInt32, _ pool: inout PacketPool,
        _ outputs: borrowing OutputBatches
    ) {
        guard let twin = copy(packet, &pool) else { return }
        send(twin, to: port, limit, &pool, outputs)
    }

    mutating func send(
        _ packet: Packet, to port: UInt32, _ limit: UInt32, _ pool: inout PacketPool, _ outputs: borrowing OutputBatches
    ) {
        if let services, services.pointee.isRehearsal {
            sent &+= 1
            pool.free(packet)
            return
        }
        if packet.pointee.length > limit { Offload.truncate(packet, to: limit) }
        if outputs.append(packet, to: port) {
            sent &+= 1
        } else {
            note(.unknownPort)
            pool.free(packet)
        }
    }
}
