import Base
import Dataplane
import Logging
import Pipeline
import Ports

extension SwitchCommands {
    func bindCaptureCommands(_ registry: CommandRegistry) {
        registry.bind("capture") { invocation throws(CommandError) in
            if invocation.arguments[0] == "stop" {
                guard invocation.arguments.count == 2 else {
                    throw .usage("capture: stop takes one port", usage: "capture stop PORT")
                }
                let port = try self.configured.port(invocation.arguments[1])
                guard let capture = self.stopCapture(port.index) else {
                    throw .refused("no capture runs on port \(port.name)")
                }
                let count = capture.frameCount
                return CommandResult(
                    text: { "\(count) frames in \(capture.path)\n" },
                    json: { ["frames": JSONValue(count), "file": .string(capture.path)] })
            }
            return try self.startCapture(invocation)
        }
    }

    private func startCapture(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        let port = try configured.port(invocation.arguments[0])
        var wanted = CaptureSettings()
        try Self.apply(invocation.arguments.dropFirst(2), to: &wanted)
        guard let attached = device.ports[port.index]?.port else {
            throw .refused("port \(port.name) has no device: frames cross it inside the switch")
        }
        if let running = captures[port.index], !running.isFinished {
            throw .refused("a capture runs on port \(port.name) already, into \(running.path)")
        }
        let (path, expression, most) = (invocation.arguments[1], wanted.filter, wanted.count)
        let capture = try refusing { () throws(PortError) in
            try Capture(port: port.name, path: path, filter: expression, count: most)
        }
        captures[port.index] = capture
        attached.observe(with: capture)
        return .done
    }

    @discardableResult
    func stopCapture(_ index: PortIndex) -> Capture? {
        guard let capture = captures.removeValue(forKey: index) else { return nil }
        device.ports[index]?.port.observe(with: nil)
        return capture
    }

    /// Takes captures off their ports that have all they wanted, and ends those whose port is gone. Called now and then.
    public func endFinishedCaptures() {
        for (index, capture) in captures where capture.isFinished || device.ports[index] == nil {
            if capture.hasFailed { configured.log.error("capture into \(capture.path) ended: it cannot be written") }
            stopCapture(index)
        }
    }
}
