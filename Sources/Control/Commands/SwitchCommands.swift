import Base
import Dataplane
import Flow
import Logging
import Memory
import Pipeline
import Ports

/// The commands of a running switch: what each does is in the extensions, by subject. Control thread only.
public final class SwitchCommands {
    public let configured: ConfiguredSwitch
    /// What belongs to the process and not to the switch, for `config/show`.
    public var processConfiguration = Configuration()
    let started = SwitchClock.monotonicNanoseconds()
    var captures: [PortIndex: Capture] = [:]
    let tracer = Translator()
    var traceBuffers = PacketPool(small: 1, large: 1)

    public init(_ device: Switch, log: Logger = Logger(label: "control")) {
        configured = ConfiguredSwitch(device, log: log)
    }

    var device: Switch { configured.device }
    var model: SwitchModel { configured.model }
    var now: UInt64 { configured.now }

    /// Gives the registry a handler for each command of the switch.
    public func bind(to registry: CommandRegistry) {
        bindBridgeCommands(registry)
        bindPortCommands(registry)
        bindFlowCommands(registry)
        bindGroupCommands(registry)
        bindMeterCommands(registry)
        bindTunnelOptionCommands(registry)
        bindPacketCommands(registry)
        bindCaptureCommands(registry)
        bindConntrackCommands(registry)
        bindServiceCommands(registry)
        bindDataplaneCommands(registry)
        bindWorkerCommands(registry)
        bindConfigurationCommands(registry)
    }

    // MARK: What several commands need

    /// `-O`: the highest of the versions that are listed.
    func version(_ invocation: Invocation) throws(CommandError) -> OpenFlowVersion {
        guard let list = invocation.protocolVersions else { return .openFlow15 }
        var best: OpenFlowVersion?
        for name in list.split(separator: ",") {
            guard let version = OpenFlowVersion(name: String(name)) else {
                throw .refused("-O: unknown version \"\(name.echoed)\", expected OpenFlow10 to OpenFlow15")
            }
            best = best.map { max($0, version) } ?? version
        }
        guard let best else { throw .refused("-O needs a version") }
        return best
    }

    /// What reading and writing flows of a bridge needs to know. `names` shows ports by name.
    func context(_ bridge: BridgeState, _ version: OpenFlowVersion, names: Bool = false) -> FlowContext {
        var context = FlowContext(version: version)
        let state = model.state
        var numbers: [String: PortNumber] = [:]
        var texts: [PortNumber: String] = [:]
        for (number, index) in bridge.ports {
            guard let port = state.port(index) else { continue }
            numbers[port.name] = number
            texts[number] = port.name
        }
        context.portNumber = { numbers[$0] }
        if names { context.portName = { texts[$0] } }
        context.groupExists = { bridge.groups[$0] != nil }
        context.tlvMap = bridge.tlvMap
        context.meterExists = { bridge.meters[$0] != nil }
        let policies = configured.policyNumbers
        context.timeoutPolicy = { policies[$0] }
        return context
    }

    /// A bridge with the context of an invocation, whose first argument names it.
    func bridgeAndContext(_ invocation: Invocation) throws(CommandError) -> (BridgeState, FlowContext) {
        let bridge = try configured.state(invocation.arguments[0])
        return (
            bridge,
            context(bridge, try version(invocation), names: invocation.has("--names") || invocation.has("-names"))
        )
    }

    /// Ports of a bridge in the order of their numbers, its own first.
    func ports(of bridge: BridgeState) -> [PortState] {
        bridge.ports.values.compactMap { model.state.port($0) }.sorted {
            ($0.number == .local ? 0 : 1, $0.number) < ($1.number == .local ? 0 : 1, $1.number)
        }
    }

    /// Bytes written as hexadecimal digits; blanks may stand between.
    static func frame(_ hex: String) throws(CommandError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(hex.utf8.count / 2)
        var high: UInt8?
        for (column, character) in hex.utf8.enumerated() {
            let digit: UInt8
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = character - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = character - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = character - UInt8(ascii: "A") + 10
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\t"): continue
            default: throw .refused("frame: expected a hexadecimal digit at column \(column + 1)")
            }
            if let first = high {
                bytes.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        guard high == nil else { throw .refused("frame: odd number of hexadecimal digits") }
        guard bytes.count <= 65535 else { throw .refused("frame: \(bytes.count) bytes, expected 65535 at the most") }
        return bytes
    }
}

extension PortNumber {
    /// As a number the way ovs-vsctl shows it: 65534 for LOCAL, which OpenFlow 1.0 calls it.
    var openFlow10: UInt32 { rawValue & 0xffff }

    /// As ovs-ofctl shows it.
    var text: String { self == .local ? "LOCAL" : String(rawValue) }
}
