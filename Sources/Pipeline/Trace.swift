import Actions
import Base
import Conntrack
import Flow

// `trace`: one packet through the tables, told in the form of `ofproto/trace` (ovs-vswitchd(8)). Nothing is counted or sent.

extension Translator {
    /// Translates a packet and describes what happened, then each copy of it that goes back to the tables, as if the
    /// connection were new.
    ///
    /// - Parameters:
    ///   - key: of the packet; `inPort` is an OpenFlow port number of `bridge`.
    ///   - packetLength: bytes of frame, for what depends on it.
    ///   - context: names of ports, OpenFlow version.
    ///   - effects: what the packet may teach the switch (MAC addresses, `learn`); nil for nothing.
    ///   - portName: how the datapath calls a port.
    ///   - translated: called with each program.
    public func trace(
        _ key: FlowKey, packetLength: Int, on bridge: BridgeState, state: SwitchState, now: UInt64,
        context: FlowContext = FlowContext(), effects: TranslationEffects? = nil,
        portName: @escaping (PortIndex) -> String, translated: ([UInt64]) -> Void = { _ in }
    ) -> String {
        defer { tracer = nil }
        let number = PortNumber(UInt32(key[.inPort]))
        var received = key
        received[.inPort] = UInt64(bridge.ports[number]?.rawValue ?? 0)
        let recorder = TraceRecorder(printer: FlowPrinter(context))
        tracer = recorder
        withUnsafePointer(to: received) {
            translate(
                $0, packetLength: packetLength, state: state, now: now, effects: effects, bridge: bridge, number: number
            )
        }
        var text = describe(key, recorder, context, portName)
        translated(translation.program.words)
        var waiting = recorder.forks
        var count = 0
        while !waiting.isEmpty, count < Self.maximumForks {
            let fork = waiting.removeFirst()
            count += 1
            let recorder = TraceRecorder(printer: FlowPrinter(context))
            tracer = recorder
            let flow = Self.resumed(fork)
            var back = flow
            back[.inPort] = received[.inPort]
            withUnsafePointer(to: back) {
                translate($0, packetLength: packetLength, state: state, now: now, effects: effects)
            }
            // Set in, so that the lines of the packet itself remain the only ones that begin with their names.
            text += "\n" + Self.indented(Self.heading(fork) + describe(flow, recorder, context, portName))
            translated(translation.program.words)
            waiting += recorder.forks
        }
        return text
    }

    /// Copies that are followed at the most.
    private static var maximumForks: Int { 64 }

    /// What one translation gave.
    private func describe(
        _ key: FlowKey, _ recorder: TraceRecorder, _ context: FlowContext, _ portName: @escaping (PortIndex) -> String
    ) -> String {
        let printer = FlowPrinter(context)
        var final = currentFlow
        final[.actionSetOutput] = 0
        var text = "Flow: \(printer.text(key))\n"
        text += recorder.text
        text += "\nFinal flow: \(final == key ? "unchanged" : printer.text(final))\n"
        text += "Megaflow: \(printer.megaflow(key, translation.mask))\n"
        text += "Datapath actions: \(ProgramFormatter.format(translation.program.words, portName: portName))\n"
        if let reason = translation.dropReason { text += "Packet is dropped: \(reason.name)\n" }
        return text
    }

    /// The flow of a copy that comes back, its connection taken for a new one.
    private static func resumed(_ fork: TraceRecorder.Fork) -> FlowKey {
        var flow = fork.flow
        flow[.actionSetOutput] = 0
        flow[.recircID] = UInt64(fork.id)
        for word in Slot.ctMark.word..<FrozenState.firstWord { flow.words[word] = 0 }
        if fork.isUntracked { return flow }
        flow[.ctState] = TrackState.new | TrackState.tracked
        flow[.ctZone] = UInt64(fork.zone)
        return flow
    }

    private static func heading(_ fork: TraceRecorder.Fork) -> String {
        let line = String(repeating: "=", count: 79)
        let name = "recirc(0x\(String(fork.id, radix: 16)))"
        let how =
            fork.isUntracked
            ? "resume untracked, with the addresses from before the translation"
            : "resume conntrack with default ct_state=new|trk"
        return "\(line)\n\(name) - \(how)\n\(line)\n\n"
    }

    private static func indented(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.isEmpty ? "" : "    \($0)" }.joined(separator: "\n")
    }

    /// The flow as it is now.
    var currentFlow: FlowKey {
        var key = FlowKey()
        for i in 0..<FlowKey.wordCount { key.words[i] = flow[i] }
        return key
    }
}
