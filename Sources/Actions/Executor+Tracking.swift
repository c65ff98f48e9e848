import Base
import Conntrack
import Flow
import Memory
import Wire

// The `track` op. A frame that is a fragment waits until its datagram is whole; the program then goes on with all of its
// fragments, in the place where the last of them to come stands.
extension Run {
    /// `refuses`: the frame is still the caller's, who tells its sender.
    enum Passage { case goesOn, ends, isWhole, refuses }

    mutating func track(
        _ packet: Packet, _ immediate: UInt32, _ operands: UnsafePointer<UInt64>, _ pool: inout PacketPool
    ) -> Passage {
        guard let services, let tracker = services.pointee.tracker else {
            return refuse(packet, .translationFailed, &pool)
        }
        let now = services.pointee.now
        let worker = services.pointee.worker
        var request = TrackRequest(immediate: immediate, operands)
        if let reassembler = services.pointee.reassembler, let datagram = services.pointee.datagram {
            let outcome = reassembler._withUnsafeGuaranteedRef { reassembler in
                datagram._withUnsafeGuaranteedRef {
                    reassembler.submit(packet, zone: request.zone, now: now, pool: &pool, datagram: $0)
                }
            }
            switch outcome {
            case .notFragment: break
            case .invalid:
                forget(packet)
                Self.markInvalid(packet)
            case .held:
                held &+= 1
                pool.free(packet)
                return .ends
            case .dropped(let reason, let others):
                Self.add(UInt64(others), to: drops + Int(reason.rawValue))
                return refuse(packet, reason, &pool)
            case .complete:
                forget(packet)
                let verdict = datagram._withUnsafeGuaranteedRef { datagram in
                    let verdict = tracker._withUnsafeGuaranteedRef {
                        $0.track(datagram.whole, &request, now: now, worker: worker)
                    }
                    datagram.distribute()
                    if request.steers { datagram.distributeStation() }
                    return verdict
                }
                if let reason = verdict.reason { return refuseDatagram(packet, reason, &pool) }
                return .isWhole
            }
        }
        let verdict = tracker._withUnsafeGuaranteedRef { $0.track(packet, &request, now: now, worker: worker) }
        switch verdict {
        case .tracked:
            if packet.pointee.trace != 0 { services.pointee.traces.trace(packet.pointee.trace).pointee.note(packet) }
            return .goesOn
        case .drop(let reason): return refuse(packet, reason, &pool)
        case .refuse(let reason):
            note(reason)
            return .refuses
        }
    }

    /// None of its fragments goes any further. Those that had waited count as frames of their own. (A fragment cannot be
    /// answered: nobody could tell the rest of the datagram.)
    private mutating func refuseDatagram(_ packet: Packet, _ reason: DropReason, _ pool: inout PacketPool) -> Passage {
        if let datagram = services?.pointee.datagram {
            datagram._withUnsafeGuaranteedRef { datagram in
                for i in 0..<datagram.count where datagram.fragments[i] != packet {
                    pool.free(datagram.fragments[i])
                    Self.add(1, to: drops + Int(reason.rawValue))
                }
            }
        }
        return refuse(packet, reason, &pool)
    }

    /// The packet's way is none that can be remembered.
    private func forget(_ packet: Packet) {
        guard packet.pointee.trace != 0, let services else { return }
        services.pointee.traces.trace(packet.pointee.trace).pointee.isVoid = true
    }

    /// The ops up to `end`, as `body` runs them, but the frame stays the caller's.
    mutating func edit(
        _ end: Int, _ packet: Packet, _ pool: inout PacketPool, _ outputs: borrowing OutputBatches
    ) -> Bool {
        var at = 0
        while let step = ProgramStep(words, count: end, at: at) {
            switch step.op {
            case .translate:
                translate(packet, step.immediate, isReply: step.flags & 1 != 0)
                at = step.next
            case .output, .clone:
                let after = step.op == .clone ? step.next + Int(step.immediate) : step.next
                if let twin = pool.copy(packet) { body(at, after, twin, &pool, outputs) } else { lost &+= 1 }
                at = after
            default:
                guard rewrite(step.op, words[at], words + step.operands, packet) else {
                    note(.malformedRewrite)
                    countDrop()
                    pool.free(packet)
                    return false
                }
                at = step.next
            }
        }
        return true
    }

    /// For a session: as the connection says that has been found to be as guarded.
    @inline(__always)
    func translate(_ packet: Packet, _ number: UInt32, isReply: Bool) {
        guard let services, let tracker = services.pointee.tracker, let guards = services.pointee.guards else { return }
        tracker._withUnsafeGuaranteedRef { $0.translate(packet, guards[Int(number)], isReply: isReply) }
    }

    private mutating func refuse(_ packet: Packet, _ reason: DropReason, _ pool: inout PacketPool) -> Passage {
        note(reason)
        pool.free(packet)
        return .ends
    }

    /// What breaks the rules of fragmentation is `inv`, and nothing more is found out about it.
    private static func markInvalid(_ packet: Packet) {
        packet.pointee.isTracked = true
        packet.pointee.connection = 0
        packet.pointee.tracking = InlineArray(repeating: 0)
        packet.pointee.tracking[0] = TrackState.invalid << UInt64(Slot.ctState.shift)
    }
}

extension Executor {
    /// Runs the first `count` words of a program whose ops edit, or send copies, and keeps the frame. `isThere` is false if it
    /// was dropped instead, and counted.
    public static func edit(
        _ words: UnsafePointer<UInt64>, count: Int, on packet: Packet, pool: inout PacketPool,
        outputs: borrowing OutputBatches, drops: UnsafeMutablePointer<UInt64>,
        services: UnsafeMutablePointer<ExecutionServices>?
    ) -> (isThere: Bool, sent: UInt32, lost: UInt32) {
        var run = Run(words: words, services: services, drops: drops)
        let isThere = run.edit(count, packet, &pool, outputs)
        return (isThere, run.sent, run.lost)
    }

    /// Runs the rest of a program on each fragment of a datagram that is whole. Those that had waited count as frames of their own.
    @inline(never)
    static func finish(
        _ run: inout Run, at start: Int, _ end: Int, _ pool: inout PacketPool, _ outputs: borrowing OutputBatches
    ) {
        guard let datagram = run.services?.pointee.datagram else { return }
        // Another `track` of the program puts them together again, and uses the datagram's memory for that.
        let fragments = datagram._withUnsafeGuaranteedRef {
            Array(UnsafeBufferPointer(start: $0.fragments, count: $0.count))
        }
        for fragment in fragments.dropLast() {
            var other = Run(words: run.words, services: run.services, drops: run.drops)
            other.body(start, end, fragment, &pool, outputs)
            other.countDrop()
            let outcome = Outcome(sent: other.sent, lost: other.lost, held: other.held)
            run.surplus &+= outcome.ends &- 1 &+ other.surplus
        }
        if let last = fragments.last { run.body(start, end, last, &pool, outputs) }
    }
}
