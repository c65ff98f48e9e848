import Actions
import Base
import Flow

// `trace`: one packet through the tables, told in the form of `ofproto/trace` (ovs-vswitchd(8)). Nothing is counted or sent.

extension Translator {
    /// Translates a packet and describes what happened.
    ///
    /// - Parameters:
    ///   - key: of the packet; `inPort` is an OpenFlow port number of `bridge`.
    ///   - packetLength: bytes of frame, for what depends on it.
    ///   - context: names of ports, OpenFlow version.
    ///   - effects: what the packet may teach the switch (MAC addresses, `learn`); nil for nothing.
    ///   - portName: how the datapath calls a port.
    public func trace(
        _ key: FlowKey, packetLength: Int, on bridge: BridgeState, state: SwitchState, now: UInt64,
        context: FlowContext = FlowContext(), effects: TranslationEffects? = nil,
        portName: @escaping (PortIndex) -> String
    ) -> String {
        let recorder = TraceRecorder(printer: FlowPrinter(context))
        tracer = recorder
        defer { tracer = nil }
        let number = PortNumber(UInt32(key[.inPort]))
        var received = key
        received[.inPort] = UInt64(bridge.ports[number]?.rawValue ?? 0)
        withUnsafePointer(to: received) {
            translate(
                $0, packetLength: packetLength, state: state, now: now, effects: effects, bridge: bridge, number: number
            )
        }
        let printer = FlowPrinter(context)
        var final = finalFlow
        final[.actionSetOutput] = 0
        let isUnchanged = final == key
        var text = "Flow: \(printer.text(key))\n"
        text += recorder.text
        text += "\nFinal flow: \(isUnchanged ? "unchanged" : printer.text(final))\n"
        text += "Megaflow: \(printer.megaflow(key, translation.mask))\n"
        text += "Datapath actions: \(ProgramFormatter.format(translation.program.words, portName: portName))\n"
        if let reason = translation.dropReason { text += "Packet is dropped: \(reason.name)\n" }
        return text
    }

    /// The flow as it left the tables.
    private var finalFlow: FlowKey {
        var key = FlowKey()
        for i in 0..<FlowKey.wordCount { key.words[i] = flow[i] }
        return key
    }
}
