import Actions
import Conntrack

// One program for the whole way of a session: the programs of its stages one behind the other. Where a packet was tracked,
// a `translate` op stands if the connection has a translation, else nothing; where it came back, nothing.

enum SessionProgram {
    /// Writes the program of a path whose stages are known, and where in it each passage stands, and completes the shape.
    ///
    /// False if a stage does something that is not a function of key and guards, or that would be done too late: connections are
    /// renewed before the program runs, so nothing that may drop the packet can stand in front of a passage.
    static func compile(_ path: inout SessionPath, _ shape: inout SessionShape) -> Bool {
        var words: [UInt64] = []
        var builder = ProgramBuilder()
        var track = 0
        var isCleared = false
        var sendsEarly = false
        var endsInOutput = false
        for stage in 0..<Int(path.stageCount) {
            guard let block = path.stages[stage].block else { return false }
            let own = ActionBlock(block)
            let isLast = stage == Int(path.stageCount) - 1
            shape.dropReason = own.dropReason
            var at = 0
            while let step = ProgramStep(own.program, count: own.programCount, at: at) {
                let end = step.end(own.program)
                switch step.op {
                case .track:
                    guard track < Int(path.trackCount) else { return false }
                    path.places[track].stage = UInt16(truncatingIfNeeded: stage)
                    path.places[track].inProgram = UInt16(truncatingIfNeeded: words.count)
                    path.places[track].inStage = UInt16(truncatingIfNeeded: at)
                    path.places[track].isCleared = isCleared
                    isCleared = false
                    if shape.tracks[track].traits.contains(.translated) {
                        builder.removeAll()
                        builder.translate(track, isReply: shape.tracks[track].traits.contains(.reply))
                        words.append(contentsOf: builder.words)
                    }
                    track += 1
                case .trackClear: isCleared = true
                case .recirculate:
                    guard !isLast, end == own.programCount else { return false }
                default:
                    guard mayStand(step, own.program, end, isLastStage: isLast && track == Int(path.trackCount)) else {
                        return false
                    }
                    if !isLast, step.op == .output || step.op == .clone { sendsEarly = true }
                    if isLast { endsInOutput = step.op == .output && end == own.programCount }
                    words.append(contentsOf: UnsafeBufferPointer(start: own.program + at, count: end - at))
                }
                at = end
            }
        }
        // A frame that an earlier stage sent counts as sent; whether the last one drops it would be forgotten.
        guard track == Int(path.trackCount), words.count < 0x7fff, !sendsEarly || endsInOutput else { return false }
        // What the last stage drops has been through the others.
        if shape.dropReason != ActionBlock.noReason, !words.isEmpty {
            builder.removeAll()
            builder.append(.drop, immediate: UInt32(shape.dropReason))
            words.append(contentsOf: builder.words)
        }
        recognise(words, &shape)
        setNeeds(&shape)
        shape.programCount = UInt32(words.count)
        let program = UnsafeMutablePointer<UInt64>.allocate(capacity: max(1, words.count))
        for (i, word) in words.enumerated() { program[i] = word }
        shape.program = program
        return true
    }

    /// What packets will look at of their connections. A sole translation of IPv4 stands in the session.
    private static func setNeeds(_ shape: inout SessionShape) {
        let translations = (0..<Int(shape.trackCount)).count { shape.tracks[$0].traits.contains(.translated) }
        if shape.isTCP { shape.needs.insert(.peers) }
        if translations == 1, shape.soleOutput != 0, !shape.isIPv6,
            shape.trackCount <= SessionTable.mostGuardsBesideTranslation
        {
            shape.edit.rememberTranslation()
        } else if translations > 0 {
            shape.needs.insert(.tuples)
        }
    }

    /// Whether the program is what switches and routers do to most packets: new Ethernet addresses, another TTL, output.
    private static func recognise(_ words: [UInt64], _ shape: inout SessionShape) {
        var edit = SessionEdit()
        var at = 0
        let full: UInt64 = 0xffff_ffff_ffff
        words.withUnsafeBufferPointer { words in
            guard let start = words.baseAddress else { return }
            while let step = ProgramStep(start, count: words.count, at: at) {
                let o = start + step.operands
                switch step.op {
                case .translate where edit.traits == 0: edit.translate(step.immediate, isReply: step.flags & 1 != 0)
                case .setEthernet where edit.traits & SessionEdit.setsEthernet == 0 && o[1] == full && o[3] == full:
                    edit.setEthernet(dst: o[0], src: o[2])
                case .setIPv4 where edit.traits & SessionEdit.setsTTL == 0 && o[1] == 0 && o[3] == 0xff:
                    // The difference is known if the TTL as received is: if it is compared.
                    guard shape.mask2 & 0xff == 0xff else { return }
                    edit.setTTL(from: UInt8(truncatingIfNeeded: shape.value2), to: UInt8(truncatingIfNeeded: o[2]))
                case .output where step.next == words.count:
                    shape.edit = edit
                    shape.soleOutput = step.immediate
                default: return
                }
                at = step.next
            }
        }
    }

    /// - Parameter isLastStage: nothing comes behind it but the end of the way. Elsewhere nothing may drop the frame or name a
    ///   reason, since the stages behind count for themselves.
    private static func mayStand(
        _ step: ProgramStep, _ words: UnsafePointer<UInt64>, _ end: Int, isLastStage: Bool
    ) -> Bool {
        switch step.op {
        case .setEthernet, .setIPv4, .setIPv6, .setPorts, .setQueue, .setMark, .pushVLAN, .popVLAN, .output: true
        case .clone: !isTracked(step, words, end)
        // What they do depends on no more than the frame, but they may drop it, or hold for the next output.
        case .truncate, .drop, .controller, .meter, .reject, .answer, .hash, .pushMPLS, .popMPLS, .setMPLS, .setICMP,
            .setARP, .setND, .setNDExtensions:
            isLastStage
        case .checkLength, .recirculate, .track, .trackClear, .translate: false
        }
    }

    /// What a `clone` does is done on a copy; that must not be tracked.
    private static func isTracked(_ step: ProgramStep, _ words: UnsafePointer<UInt64>, _ end: Int) -> Bool {
        var at = step.next
        while at < end, let inner = ProgramStep(words, count: end, at: at) {
            if inner.op == .track || inner.op == .recirculate || inner.op == .trackClear { return true }
            at = inner.next
        }
        return false
    }
}

extension ActionBlock {
    /// Whether the program puts headers on or takes them off.
    var movesHeaders: Bool {
        var at = 0
        while let step = ProgramStep(program, count: programCount, at: at) {
            switch step.op {
            case .pushVLAN, .popVLAN, .pushMPLS, .popMPLS: return true
            default: at = step.next
            }
        }
        return false
    }
}
