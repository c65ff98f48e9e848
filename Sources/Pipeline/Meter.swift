import Base
import Flow
import Shaping

/// An OpenFlow meter of a bridge: how it was written, and where in the switch's `MeterTable` it does its work.
public struct Meter: Sendable, Equatable {
    public let spec: MeterSpec
    /// In the `MeterTable`: what programs name.
    public let number: UInt32
    /// Milliseconds of the switch's clock.
    public let created: UInt64

    public init(_ spec: MeterSpec, number: UInt32, created: UInt64) {
        self.spec = spec
        self.number = number
        self.created = created
    }

    /// OFPM_CONTROLLER: polices what goes to controllers and names no other meter.
    static var controllerID: UInt32 { 0xffff_fffe }
}

extension MeterSettings {
    /// What a written meter asks for. Which flags and bands there can be is that of Open vSwitch's userspace datapath.
    init(_ spec: MeterSpec) throws(StateError) {
        let isKilobits = spec.flags.contains(.kilobitsPerSecond)
        let isPackets = spec.flags.contains(.packetsPerSecond)
        guard isKilobits != isPackets else {
            throw StateError(.badMeterFlags, "a meter counts either kbps or pktps: expected one of them")
        }
        guard !spec.bands.isEmpty else { throw StateError(.invalid, "a meter needs a band") }
        guard spec.bands.count <= Self.maximumBands else {
            throw StateError(
                .tooManyBands, "\(spec.bands.count) bands: a meter has \(Self.maximumBands) at the most")
        }
        var bands: [Band] = []
        for (i, band) in spec.bands.enumerated() {
            guard band.kind == .drop else {
                throw StateError(.badBand, "band \(i) is dscp_remark: bands of this switch can only drop")
            }
            guard band.rate > 0 else { throw StateError(.badMeterRate, "band \(i) has the rate 0") }
            bands.append(Band(rate: band.rate, burst: band.burst))
        }
        self.init(countsPackets: isPackets, bands: bands)
    }
}
