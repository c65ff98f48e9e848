import Actions
import Base
import Conntrack
import Flow

// Connection tracking: `ct`, `ct_clear`, and the way back into the tables.
//
// What tracking will find out cannot be known while translating, so the program gets a `track` op, and if the rule goes on with
// what was found (`table=`), a `recirculate` op with the id of a `FrozenState`. The frame then comes back with a new
// key and is looked up, or translated, once more. What follows `ct` in the list of actions sees an untracked packet, as
// in Open vSwitch (ovs-actions(7), "The ct action").

extension Translator {
    func conntrack(_ step: UnsafePointer<ActionStep>, _ code: Unmanaged<ActionCode>) {
        commit()
        let body = code._withUnsafeGuaranteedRef { Unmanaged.passUnretained($0.children[Int(step.pointee.child)]) }
        var request = body._withUnsafeGuaranteedRef { $0.request }
        writeMarks(body, &request)
        if step.pointee.source.kind != .absent {
            request.zone = UInt16(truncatingIfNeeded: read(step.pointee.source))
        }
        translation.program.track(request)
        changes &+= 1
        alterations &+= 1
        if step.pointee.flag { freeze(UInt8(truncatingIfNeeded: step.pointee.number), zone: request.zone) }
        trace { $0.detail("Sets the packet to an untracked state, and clears all the conntrack fields.") }
        clearTracking()
    }

    /// Runs the actions of `exec`, which write mark and label, on the side.
    private func writeMarks(_ body: Unmanaged<ActionCode>, _ request: inout TrackRequest) {
        guard request.markMask != 0 || request.labelMask != 0 else { return }
        let words = Slot.ctMark.word...Slot.ctLabel.word + 1
        let own = words.map { (flow[$0], fresh[$0]) }
        let wasPristine = isPristine
        run(body, inBucket: false)
        request.mark = UInt32(truncatingIfNeeded: see(Slot.ctMark.word, UInt64(request.markMask) << 32) >> 32)
        let high = see(Slot.ctLabel.word, UInt64(truncatingIfNeeded: request.labelMask >> 64))
        let low = see(Slot.ctLabel.word + 1, UInt64(truncatingIfNeeded: request.labelMask))
        request.label = UInt128(high) << 64 | UInt128(low)
        for (i, word) in words.enumerated() { (flow[word], fresh[word]) = own[i] }
        isPristine = wasPristine
    }

    /// The rest of the list takes the packet for an untracked one.
    func clearTracking() {
        for word in Slot.ctMark.word..<FrozenState.firstWord {
            flow[word] = 0
            fresh[word] = 0
        }
        isPristine = false
        isTracked = false
    }

    func conntrackClear() {
        guard isTracked else { return }
        clearTracking()
        translation.program.trackClear()
    }

    /// A copy of the packet comes back to a table, with all that this translation knows.
    func freeze(_ table: UInt8, zone: UInt16, isUntracked: Bool = false) {
        var content = FrozenState.Content()
        content.table = table
        content.inPort = UInt32(truncatingIfNeeded: flow[0] &>> 32)
        content.words = Array(
            UnsafeBufferPointer(
                start: flow + FrozenState.firstWord, count: FlowKey.wordCount - FrozenState.firstWord))
        content.stack = Array(stack[stackFloor...])
        content.actionSet = actionSet[actionSetFloor...].map { $0.code.takeUnretainedValue() }
        content.actionSetHasGroup = actionSetHasGroup
        content.mirrored = mirrored
        content.mirrorSnapLength = mirrorSnapLength
        content.returnsToPort = returnsToPort
        let bridge = bridge.takeUnretainedValue()
        // Tunnel fields that came with the packet are constants behind this point.
        for word in FrozenState.firstWord..<FlowKey.wordCount where !FlowKey.registerWords.contains(word) {
            mask[word] |= fresh[word]
        }
        guard let frozen = state._withUnsafeGuaranteedRef({ $0.frozen.intern(content, bridge: bridge, now: now) })
        else { return fail(.recirculationsFull, "too many frozen states") }
        translation.program.recirculate(frozen.id)
        trace {
            let fork = TraceRecorder.Fork(
                id: frozen.id, flow: self.currentFlow, zone: zone, isUntracked: isUntracked)
            $0.freeze(fork, table: table)
        }
    }

    /// Goes on where a frame that came back was frozen. The key has the id of the state, and what tracking found out.
    func resume(
        _ key: UnsafePointer<FlowKey>, id: UInt32, packetLength: Int, now: UInt64, effects: TranslationEffects?
    ) {
        let found = state._withUnsafeGuaranteedRef { $0.frozen.state(id, now: now) }
        guard let frozen = found, let bridge = bridge(number: frozen.bridge),
            bridge._withUnsafeGuaranteedRef({ $0.stations === frozen.stations })
        else {
            begin(key, packetLength: packetLength, now: now, effects: effects)
            note(.frozenStateGone)
            isCacheable = false
            return finish(key)
        }
        self.bridge = bridge
        begin(key, packetLength: packetLength, now: now, effects: effects)
        thaw(frozen.content)
        goOn(frozen.content)
        finish(key)
    }

    private func thaw(_ content: FrozenState.Content) {
        for (i, value) in content.words.enumerated() {
            let word = FrozenState.firstWord + i
            flow[word] = value
            base[word] = value
            fresh[word] = 0
            baseFresh[word] = 0
        }
        writePlain(Slot.inPort, UInt64(content.inPort))
        base[0] = flow[0]
        stack.append(contentsOf: content.stack)
        stackBytes = content.stack.reduce(0) { $0 + $1.bytes }
        for code in content.actionSet { actionSet.append(ActionSetEntry(code: .passUnretained(code))) }
        actionSetHasGroup = content.actionSetHasGroup
        mirrored = content.mirrored
        mirrorSnapLength = content.mirrorSnapLength
        returnsToPort = content.returnsToPort
        isTracked = true
    }

    private func goOn(_ content: FrozenState.Content) {
        if isIP { mask[Slot.nwFrag.word] |= Slot.nwFrag.lowMask &<< UInt64(Slot.nwFrag.shift) }
        table = content.table
        trace {
            $0.beginBridge(self.bridge.takeUnretainedValue().name)
            $0.thaw(table: content.table)
        }
        let found = findRule(in: content.table, inPort: inPortNumber)
        if let found { run(rule: found) } else { noteMiss() }
        if failure == nil { runActionSet() }
        trace { $0.endBridge() }
    }
}

// MARK: - resubmit(,TABLE,ct)

extension Translator {
    /// Whether there is an original tuple: an IP packet whose connection is known.
    var hasOriginalTuple: Bool {
        isIP && isTracked && see(Slot.ctState) & 0x20 != 0 && see(Slot.ctNwProto) != 0
    }

    /// Exchanges addresses and ports with those of the connection's original direction, for one lookup.
    func swapTuple() {
        for words in [flow, fresh, mask] {
            let ports = (words[4] & Self.transportPorts, words[Slot.ctTpSrc.word] >> 16 & Self.transportPorts)
            let protocols = (words[4] >> 56, words[19] & 0xff)
            words[4] = words[4] & ~(Self.transportPorts | 0xff << 56) | ports.1 | protocols.1 << 56
            words[23] = words[23] & ~(Self.transportPorts << 16) | ports.0 << 16
            words[19] = words[19] & ~0xff | protocols.0
            if etherType == EtherType.ipv6 {
                for i in 0..<4 { (words[6 + i], words[24 + i]) = (words[24 + i], words[6 + i]) }
            } else {
                (words[3], words[22]) = (words[22], words[3])
            }
        }
        isPristine = false
    }
}
