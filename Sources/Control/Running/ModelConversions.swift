import Base
import Pipeline

// From settings as they are written to those of the model.

extension BridgeSettings {
    init(_ bridge: BridgeConfiguration, isTimeVirtual: Bool = false) {
        self.init()
        failMode = bridge.failMode == .secure ? .secure : .standalone
        switch bridge.fragments {
        case .normal: fragments = .normal
        case .drop: fragments = .drop
        case .nxMatch: fragments = .nxMatch
        }
        hardwareAddress = bridge.hardwareAddress ?? Self.address(for: bridge.name)
        datapathID = bridge.datapathID ?? hardwareAddress
        macTableSize = bridge.macTableSize
        macAgingTime = bridge.macAgingTime
        macMoveLimit = bridge.macMoveLimit ?? (isTimeVirtual ? 0 : StationTable.defaultMoveLimit)
        forwardBPDU = bridge.forwardBPDU
        floodVLANs = bridge.floodVLANs
        hasLocalDevice = bridge.local != .none
    }

    /// A local unicast address that stays the same over restarts: FNV-1a of the name.
    private static func address(for name: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return (hash & 0xfcff_ffff_ffff) | 0x0200_0000_0000
    }
}

extension PortState {
    /// Takes over everything that can change while a port lives.
    mutating func adopt(_ port: PortConfiguration) {
        switch port.effectiveVLANMode {
        case .access: vlanMode = .access
        case .trunk: vlanMode = .trunk
        case .nativeTagged: vlanMode = .nativeTagged
        case .nativeUntagged: vlanMode = .nativeUntagged
        case .dot1qTunnel: vlanMode = .dot1qTunnel
        }
        tag = vlanMode == .trunk ? 0 : port.tag ?? 0
        trunks = Self.trunks(port)
        customerVLANs = port.effectiveVLANMode == .dot1qTunnel ? port.customerVLANs : nil
        qinqEtherType = port.qinq == .serviceTag ? 0x88a8 : 0x8100
        switch port.priorityTags {
        case .never: priorityTags = .never
        case .ifNonzero: priorityTags = .ifNonzero
        case .always: priorityTags = .always
        }
        protected = port.isProtected
        adminDown = !port.isUp
        noReceive = !port.receives
        noForward = !port.forwards
        noFlood = !port.floods
        if let mtu = port.mtu { self.mtu = mtu }
    }

    /// VLANs that are carried besides the port's own: as ovs-vswitchd.conf.db(5), "trunks", has it, a native VLAN is
    /// always among them, and VLAN 0 then never.
    private static func trunks(_ port: PortConfiguration) -> Set<UInt16>? {
        switch port.effectiveVLANMode {
        case .trunk: return port.trunks
        case .nativeTagged, .nativeUntagged:
            guard let tag = port.tag, tag != 0, let trunks = port.trunks else { return port.trunks }
            return trunks.union([tag]).subtracting([0])
        case .access, .dot1qTunnel: return nil
        }
    }
}

extension SwitchSettings {
    init(_ settings: GlobalSettings) {
        self.init()
        vlanLimit = settings.vlanLimit
    }
}
