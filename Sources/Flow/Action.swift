import Base

/// An OpenFlow action or instruction, as parsed from text: ovs-actions(7) has the meaning of each.
///
/// Some actions keep how they were written (`mod_tp_dst`, `load`, `set_field`), because ovs-ofctl prints them
/// differently and because some meanings depend on it.
public indirect enum Action: Hashable, Sendable {
    // Output.
    case output(PortNumber)
    case outputTruncated(PortNumber, maxLength: UInt32)
    case outputRegister(Subfield)
    case controller(ControllerParameters)
    case enqueue(PortNumber, queue: UInt32)
    case group(UInt32)
    case bundle(BundleParameters)
    case drop
    // Control flow.
    case resubmit(inPort: PortNumber?, table: UInt8?, conntrack: Bool)
    case gotoTable(UInt8)
    case clone([Action])
    case exit
    case conjunction(id: UInt32, clause: UInt8, of: UInt8)
    // The action set and metadata instructions.
    case writeActions([Action])
    case clearActions
    case writeMetadata(value: UInt64, mask: UInt64)
    case meter(UInt32)
    // Fields. Value and mask are in field bits; bits outside the mask are zero in the value.
    case setField(MatchField, value: UInt128, mask: UInt128)
    /// `load:value->dst`; value is right-aligned.
    case load(value: UInt128, Subfield)
    case move(Subfield, Subfield)
    case push(Subfield)
    case pop(Subfield)
    case deleteField(MatchField)
    /// OpenFlow 1.0 forms. With `push` a tag is pushed on an untagged packet (OpenFlow 1.1 and later forms of
    /// `mod_vlan_vid`, unless the match says there is a tag).
    case setVLANVID(UInt16, pushIfAbsent: Bool)
    case setVLANPCP(UInt8, pushIfAbsent: Bool)
    case setEthSrc(UInt64)
    case setEthDst(UInt64)
    case setIPv4Src(UInt32)
    case setIPv4Dst(UInt32)
    /// Whole TOS byte; only the upper six bits are written.
    case setIPDSCP(UInt8)
    case setIPECN(UInt8)
    case setIPTTL(UInt8)
    case setL4SrcPort(UInt16)
    case setL4DstPort(UInt16)
    case setMPLSLabel(UInt32)
    case setMPLSTC(UInt8)
    case setMPLSTTL(UInt8)
    case setTunnelID(UInt64, wide: Bool)
    // Headers.
    case pushVLAN(UInt16)
    case popVLAN
    case pushMPLS(UInt16)
    case popMPLS(UInt16)
    /// Controller ids to tell; empty for plain `dec_ttl`.
    case decTTL(controllers: [UInt16])
    case decMPLSTTL
    // Queues.
    case setQueue(UInt32)
    case popQueue
    // Computed.
    case multipath(MultipathParameters)
    case checkPacketLarger(UInt16, Subfield)
    case learn(LearnParameters)
    case finTimeout(idle: UInt16, hard: UInt16)
    // Bookkeeping.
    case note([UInt8])
    // Connection tracking.
    case conntrack(ConntrackParameters)
    case conntrackClear
    case sample(SampleParameters)
}

public struct ControllerParameters: Hashable, Sendable {
    public enum Reason: UInt8, Sendable {
        case noMatch = 0
        case action, invalidTTL, actionSet, group, packetOut
    }
    public var maxLength: UInt16 = 65535
    public var reason: Reason = .action
    public var controllerID: UInt16 = 0
    public var userdata: [UInt8] = []
    public var pause = false
    public var meterID: UInt32?
    /// Whether it was written as `controller(...)` with named arguments.
    public init() {}
}

/// `fields` of multipath, bundle and select groups: what the hash covers.
public enum HashFields: Sendable, Hashable {
    case ethSrc, symmetricL4, symmetricL3L4, symmetricL3L4UDP, symmetricL3, nwSrc, nwDst
}

public struct BundleParameters: Hashable, Sendable {
    public enum Algorithm: Sendable { case activeBackup, highestRandomWeight }
    public var fields: HashFields = .ethSrc
    public var basis: UInt16 = 0
    public var algorithm: Algorithm = .activeBackup
    public var members: [PortNumber] = []
    /// `bundle_load`: the chosen port goes here instead of being sent to.
    public var destination: Subfield?
    public init() {}
}

public struct MultipathParameters: Hashable, Sendable {
    public enum Algorithm: Sendable { case moduloN, hashThreshold, highestRandomWeight, iterativeHash }
    public var fields: HashFields
    public var basis: UInt16
    public var algorithm: Algorithm
    /// Number of links; the result is 0 ..< links.
    public var links: UInt32
    public var argument: UInt32
    public var destination: Subfield

    public init(
        fields: HashFields, basis: UInt16, algorithm: Algorithm, links: UInt32, argument: UInt32, destination: Subfield
    ) {
        self.fields = fields
        self.basis = basis
        self.algorithm = algorithm
        self.links = links
        self.argument = argument
        self.destination = destination
    }
}

public struct LearnParameters: Hashable, Sendable {
    public enum Source: Hashable, Sendable {
        case field(Subfield)
        /// Right-aligned.
        case immediate(UInt128)
    }
    public enum Spec: Hashable, Sendable {
        case match(Source, Subfield)
        case load(Source, Subfield)
        case output(Subfield)
    }
    public var table: UInt8 = 1
    public var priority: UInt16 = 32768
    public var idleTimeout: UInt16 = 0
    public var hardTimeout: UInt16 = 0
    public var finIdleTimeout: UInt16 = 0
    public var finHardTimeout: UInt16 = 0
    public var cookie: UInt64 = 0
    public var sendFlowRemoved = false
    public var deleteLearned = false
    public var limit: UInt32 = 0
    public var resultDestination: Subfield?
    public var specs: [Spec] = []
    public init() {}
}

public struct NATParameters: Hashable, Sendable {
    public enum Kind: Sendable { case unspecified, source, destination }
    public var kind: Kind = .unspecified
    /// First and last address, 32 or 128 bits; nil if none was given.
    public var addresses: ClosedRange<UInt128>?
    public var isIPv6 = false
    public var ports: ClosedRange<UInt16>?
    public var persistent = false
    public var hash = false
    public var random = false
    public init() {}
}

public struct ConntrackParameters: Hashable, Sendable {
    public enum Zone: Hashable, Sendable {
        case immediate(UInt16)
        case field(Subfield)
    }
    public var commit = false
    public var force = false
    public var zone: Zone = .immediate(0)
    public var table: UInt8?
    public var alg: String?
    /// `timeout=NAME`.
    public var timeouts: TimeoutReference?
    public var nat: NATParameters?
    /// `exec(...)`: only actions that set ct_mark and ct_label.
    public var actions: [Action] = []
    public init() {}
}

/// A named timeout policy: as it was written, and the switch's number of it, from 1.
public struct TimeoutReference: Hashable, Sendable {
    public var name: String
    public var number: UInt8

    public init(name: String, number: UInt8) {
        self.name = name
        self.number = number
    }
}

public struct SampleParameters: Hashable, Sendable {
    public enum Direction: Sendable { case both, ingress, egress }
    public var probability: UInt16 = 0
    public var collectorSet: UInt32 = 0
    public var observationDomain: UInt32 = 0
    public var observationPoint: UInt32 = 0
    public var samplingPort: PortNumber?
    public var direction: Direction = .both
    public init() {}
}
