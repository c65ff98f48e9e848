import Base
import Dataplane
import Flow
import Memory
import Pipeline
import Ports

extension SwitchCommands {
    func bindPacketCommands(_ registry: CommandRegistry) {
        registry.bind("inject") { invocation throws(CommandError) in
            let port = try self.configured.port(invocation.arguments[0])
            var frames: [[UInt8]] = []
            for hex in invocation.arguments.dropFirst() { frames.append(try Self.frame(hex)) }
            try refusing { () throws(SwitchError) in try self.device.inject(frames, port: port.index) }
            return .done
        }
        registry.bind("packet-out") { invocation throws(CommandError) in try self.packetOut(invocation) }
        registry.bind("trace") { invocation throws(CommandError) in try self.trace(invocation) }
    }

    private func packetOut(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        let (bridge, context) = try bridgeAndContext(invocation)
        let inPort = try self.inPort(invocation.arguments[1], context)
        let actions: [Action]
        do throws(FlowSyntaxError) { actions = try PacketParser(context).parseActions(invocation.arguments[2]) } catch {
            throw .refused("actions: column \(error.column): \(error.message)")
        }
        let frame = try Self.frame(invocation.arguments[3])
        try refusing { () throws(SwitchError) in
            try device.packetOut(frame, actions: actions, bridge: bridge.name, inPort: inPort)
        }
        return .done
    }

    /// Where a packet-out comes from: a port, or one of the reserved ones that stand for "from outside".
    private func inPort(_ text: String, _ context: FlowContext) throws(CommandError) -> PortNumber {
        switch text.lowercased() {
        case "none", "any": return .none
        case "controller": return .controller
        case "local": return .local
        default:
            if let number = context.portNumber?(text) ?? UInt32(text).map({ PortNumber($0) }) { return number }
            throw .refused("unknown port \"\(text.echoed)\", expected a port, LOCAL, CONTROLLER or NONE")
        }
    }

    /// A packet that is described by its fields, or one whose bytes are given and whose metadata the fields are. The latter
    /// is taken for a real one, as ofproto/trace does: the switch learns from it.
    private func trace(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        let (bridge, context) = try bridgeAndContext(invocation)
        var key: FlowKey
        do throws(FlowSyntaxError) { key = try PacketParser(context).parse(invocation.arguments[1]) } catch {
            throw .refused("column \(error.column): \(error.message)")
        }
        // What a packet that is only described would have in bytes: the shortest Ethernet frame.
        var length = 60
        var effects: TranslationEffects?
        var bytes: [UInt8]?
        if invocation.arguments.count > 2 {
            let frame = try Self.frame(invocation.arguments[2])
            length = frame.count
            bytes = frame
            guard let packetKey = self.key(of: frame) else {
                throw .refused("no buffer for a frame of \(length) bytes")
            }
            let port = key[.inPort]
            for word in 0..<FlowKey.packetWords { key.words[word] = packetKey.words[word] }
            key[.inPort] = port
            effects = TranslationEffects(learnQueue: model.learnQueue, counters: model.counters)
        }
        let state = model.state
        var programs: [[UInt64]] = []
        let text = tracer.trace(
            key, packetLength: length, on: bridge, state: state, now: now, context: context, effects: effects,
            portName: { index in
                // Ports of this bridge by their numbers, as in ofproto/trace.
                state.port(index).map { $0.bridge == bridge.number ? $0.number.text : $0.name } ?? "\(index.rawValue)"
            }, translated: { programs.append($0) })
        if let bytes {
            let port = bridge.ports[PortNumber(UInt32(key[.inPort]))] ?? .none
            device.rehearse(bytes, programs, port: port)
            device.drainRequests()
        }
        return CommandResult(text)
    }

    private func key(of frame: [UInt8]) -> FlowKey? {
        guard let packet = traceBuffers.take(frame.count) else { return nil }
        defer { traceBuffers.free(packet) }
        frame.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { packet.pointee.data.copyMemory(from: start, byteCount: bytes.count) }
        }
        var key = FlowKey()
        withUnsafeMutableBytes(of: &key.words) { bytes in
            let words = bytes.bindMemory(to: UInt64.self)
            if let start = words.baseAddress {
                _ = extractKey(packet, into: start, vlanLimit: model.state.settings.vlanLimit)
            }
        }
        return key
    }
}
