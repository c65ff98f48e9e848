import Base
import Flow
import Shaping

// Meters of a bridge. What polices is in `meters`, which workers reach without the state; the state says which number of
// it a meter of a bridge has. A meter is changed behind its number, so no cached program has to be looked at again.

extension SwitchModel {
    public func addMeter(_ spec: MeterSpec, to bridge: String, now: UInt64) throws(StateError) {
        let bridge = try self.bridge(bridge)
        let id = try Self.id(of: spec)
        guard bridge.meters[id] == nil else {
            throw StateError(.meterExists, "meter \(MeterPrinter().text(spec.id)) exists already")
        }
        guard let number = meters.add(try MeterSettings(spec), now: now) else {
            throw StateError(.tooManyMeters, "no meters left: the switch takes \(MeterTable.capacity)")
        }
        set(id, Meter(spec, number: number, created: now), on: bridge, .meters)
    }

    /// The meter starts anew, with full buckets and counts of zero; its duration goes on, and so do the flows that use it.
    public func modifyMeter(_ spec: MeterSpec, of bridge: String, now: UInt64) throws(StateError) {
        let bridge = try self.bridge(bridge)
        let id = try Self.id(of: spec)
        guard let old = bridge.meters[id] else {
            throw StateError(.unknownMeter, "meter \(MeterPrinter().text(spec.id)) does not exist")
        }
        meters.replace(old.number, with: try MeterSettings(spec), now: now)
        set(id, Meter(spec, number: old.number, created: old.created), on: bridge, [])
    }

    /// Deletes one meter or all, and with each the flows that refer to it. A meter that does not exist is no error, as in
    /// OpenFlow.
    public func deleteMeters(_ id: MeterSpec.ID, of bridge: String, now: UInt64) throws(StateError) {
        let bridge = try self.bridge(bridge)
        let doomed = Self.id(of: id).map { [$0] } ?? bridge.meters.keys.sorted()
        let gone = doomed.compactMap { bridge.meters[$0]?.number }
        runPlan(on: bridge.number, now: now) { (plan: inout FlowPlan) throws(Never) in
            for id in doomed { plan.removeUsers(ofMeter: id) }
        }
        change(.meters) { state in
            for id in doomed { state.bridges[bridge.number]?.meters[id] = nil }
        }
        for number in gone { meters.remove(number) }
    }

    /// One text for each meter, as `ovs-ofctl dump-meters` prints it.
    public func dumpMeters(_ id: MeterSpec.ID, of bridge: String) throws(StateError) -> [String] {
        try meters(id, of: bridge).map { MeterPrinter().text($0.spec) }
    }

    /// The same as `ovs-ofctl meter-stats`.
    public func dumpMeterStatistics(_ id: MeterSpec.ID, of bridge: String, now: UInt64) throws(StateError) -> [String] {
        try meterStatistics(id, of: bridge).map { meter in
            let name = MeterPrinter().text(meter.spec.id).drop { $0 != "=" }.dropFirst()
            var text = "meter:\(name) flow_count:\(meter.flows) packet_in_count:\(meter.seen.packets) "
            text += "byte_in_count:\(meter.seen.bytes) "
            text += "duration:\(DurationText.text(milliseconds: now &- min(meter.created, now))) bands:"
            for (i, band) in meter.seen.bands.enumerated() {
                text += "\n\(i): packet_count:\(band.packets) byte_count:\(band.bytes)"
            }
            return text
        }
    }

    /// A meter with what it did so far.
    public struct MeterReport: Sendable {
        public let spec: MeterSpec
        public let created: UInt64
        /// Flows with an instruction that names it.
        public let flows: Int
        public let seen: MeterStatistics
    }

    public func meterStatistics(_ id: MeterSpec.ID, of bridge: String) throws(StateError) -> [MeterReport] {
        let users = books[try self.bridge(bridge).number].meterUsers
        return try meters(id, of: bridge).map { meter in
            MeterReport(
                spec: meter.spec, created: meter.created,
                flows: Self.id(of: meter.spec.id).map { users[$0]?.count ?? 0 } ?? 0,
                seen: meters.statistics(meter.number))
        }
    }

    private func meters(_ id: MeterSpec.ID, of bridge: String) throws(StateError) -> [Meter] {
        let meters = try self.bridge(bridge).meters
        guard let number = Self.id(of: id) else { return meters.sorted { $0.key < $1.key }.map(\.value) }
        guard let meter = meters[number] else {
            throw StateError(.unknownMeter, "meter \(MeterPrinter().text(id)) does not exist")
        }
        return [meter]
    }

    private func set(_ id: UInt32, _ meter: Meter, on bridge: BridgeState, _ dependencies: Dependencies) {
        change(dependencies) { $0.bridges[bridge.number]?.meters[id] = meter }
    }

    /// The number that stands for a meter in OpenFlow; nil for all of them.
    private static func id(of id: MeterSpec.ID) -> UInt32? {
        switch id {
        case .number(let number): number
        case .slowPath: 0xffff_fffd
        case .controller: Meter.controllerID
        case .all: nil
        }
    }

    private static func id(of spec: MeterSpec) throws(StateError) -> UInt32 {
        guard let number = id(of: spec.id), number >= 1 else {
            throw StateError(.badMeter, "a meter needs a number from 1 to 4294901760")
        }
        if case .number(let plain) = spec.id, plain >= MeterSpec.idLimit {
            throw StateError(.badMeter, "meter \(plain) is out of range, 1 to 4294901760")
        }
        if spec.id == .slowPath {
            throw StateError(
                .badMeter, "nothing passes through meter=slowpath: the worker that receives a packet also translates it"
            )
        }
        return number
    }
}
