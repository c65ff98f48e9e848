import Base

/// The OpenFlow version in which rules are written and shown. A few actions mean or print something else in each.
public enum OpenFlowVersion: Int, Sendable, Comparable, CaseIterable {
    case openFlow10 = 10
    case openFlow11, openFlow12, openFlow13, openFlow14, openFlow15

    public static func < (a: OpenFlowVersion, b: OpenFlowVersion) -> Bool { a.rawValue < b.rawValue }

    /// As after `-O` in ovs-ofctl: `OpenFlow13`, in any case of letters.
    public init?(name: String) {
        let known = OpenFlowVersion.allCases.first { $0.name.lowercased() == name.lowercased() }
        guard let known else { return nil }
        self = known
    }

    public var name: String { "OpenFlow\(rawValue)" }
}

/// What reading and printing need to know of the switch. Everything is optional: without it ports are numbers and
/// no group is looked up.
public struct FlowContext {
    public var version: OpenFlowVersion = .openFlow15
    /// Number of a port by name.
    public var portNumber: ((String) -> PortNumber?)?
    /// Name of a port by number; nil prints the number.
    public var portName: ((PortNumber) -> String?)?
    /// Whether a group or a meter exists; nil accepts every number.
    public var groupExists: ((UInt32) -> Bool)?
    public var meterExists: ((UInt32) -> Bool)?
    /// Number of a timeout policy by name; nil accepts every name, and means the zone's timeouts.
    public var timeoutPolicy: ((String) -> UInt8?)?

    /// Where the `tun_metadata` fields lie.
    public var tlvMap = TLVMap()

    public init(version: OpenFlowVersion = .openFlow15) { self.version = version }
}
