import Base
import Flow

extension SwitchModel {
    public func addMeter(_ spec: MeterSpec, to bridge: String, now: UInt64) throws(StateError) {
        let bridge = try self.bridge(bridge)
        let number = try Self.number(of: spec)
        guard bridge.meters[number] == nil else {
            throw StateError(.meterExists, "meter \(MeterPrinter().text(spec.id)) exists already")
        }
        set(number, Meter(spec, created: now), on: bridge)
    }

    public func modifyMeter(_ spec: MeterSpec, of bridge: String) throws(StateError) {
        let bridge = try self.bridge(bridge)
        let number = try Self.number(of: spec)
        guard let old = bridge.meters[number] else {
            throw StateError(.unknownMeter, "meter \(MeterPrinter().text(spec.id)) does not exist")
        }
        set(number, Meter(spec, created: old.created), on: bridge)
    }

    /// Deletes one meter or all. A meter that does not exist is no error, as in OpenFlow.
    public func deleteMeters(_ id: MeterSpec.ID, of bridge: String) throws(StateError) {
        let bridge = try self.bridge(bridge)
        let doomed = Self.number(of: id).map { [$0] } ?? Array(bridge.meters.keys)
        change(.settings) { state in
            for number in doomed { state.bridges[bridge.number]?.meters[number] = nil }
        }
    }

    /// One line for each meter, as `ovs-ofctl dump-meters` prints it.
    public func dumpMeters(_ id: MeterSpec.ID, of bridge: String) throws(StateError) -> [String] {
        try meters(id, of: bridge).map { MeterPrinter().text($0.spec) }
    }

    /// As `ovs-ofctl meter-stats`: nothing passes through a meter, so all counts are zero.
    public func dumpMeterStatistics(_ id: MeterSpec.ID, of bridge: String, now: UInt64) throws(StateError) -> [String] {
        try meters(id, of: bridge).map { meter in
            var text =
                "meter:\(MeterPrinter().text(meter.spec.id).drop { $0 != "=" }.dropFirst()) flow_count:0 packet_in_count:0 byte_in_count:0 "
            text += "duration:\(DurationText.text(milliseconds: now &- min(meter.created, now))) bands:"
            for number in meter.spec.bands.indices { text += "\n\(number): packet_count:0 byte_count:0" }
            return text
        }
    }

    private func meters(_ id: MeterSpec.ID, of bridge: String) throws(StateError) -> [Meter] {
        let meters = try self.bridge(bridge).meters
        if let number = Self.number(of: id) { return meters[number].map { [$0] } ?? [] }
        return meters.sorted { $0.key < $1.key }.map(\.value)
    }

    private func set(_ number: UInt32, _ meter: Meter, on bridge: BridgeState) {
        change(.settings) { $0.bridges[bridge.number]?.meters[number] = meter }
    }

    /// The number that stands for a meter in OpenFlow; nil for all of them.
    private static func number(of id: MeterSpec.ID) -> UInt32? {
        switch id {
        case .number(let number): number
        case .slowPath: 0xffff_fffd
        case .controller: 0xffff_fffe
        case .all: nil
        }
    }

    private static func number(of spec: MeterSpec) throws(StateError) -> UInt32 {
        guard let number = number(of: spec.id), number >= 1 else {
            throw StateError(.badMeter, "a meter needs a number from 1 to 4294901760")
        }
        if case .number(let plain) = spec.id, plain >= MeterSpec.idLimit {
            throw StateError(.badMeter, "meter \(plain) is out of range, 1 to 4294901760")
        }
        guard !spec.bands.isEmpty else { throw StateError(.invalid, "a meter needs a band") }
        return number
    }
}
