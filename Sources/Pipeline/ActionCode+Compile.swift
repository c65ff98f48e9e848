import Base
import Conntrack
import Flow

extension ActionStep {
    init(_ action: Action, _ children: inout [ActionCode]) {
        switch action {
        case .output, .outputTruncated, .outputRegister, .controller, .enqueue, .group, .bundle, .drop:
            self = Self.output(action)
        case .setField, .load, .setVLANVID, .setVLANPCP, .setEthSrc, .setEthDst, .setIPv4Src, .setIPv4Dst, .setIPDSCP,
            .setIPECN, .setIPTTL, .setL4SrcPort, .setL4DstPort, .setMPLSLabel, .setMPLSTC, .setMPLSTTL, .setTunnelID:
            self = Self.assignment(action)
            setClass = .set
        case .pushVLAN, .popVLAN, .pushMPLS, .popMPLS, .decTTL, .decMPLSTTL:
            self = Self.header(action)
        case .clone(let body):
            self.init(.clone)
            child = Self.add(body, &children)
        case .writeActions(let body):
            self.init(.writeActions)
            child = Self.add(body, &children)
        case .conntrack(let parameters):
            self.init(.conntrack)
            setClass = .conntrack
            flag = parameters.table != nil
            number = UInt32(parameters.table ?? 0)
            if case .field(let subfield) = parameters.zone { source = FieldRun(subfield) }
            children.append(ActionCode(parameters.actions, request: TrackRequest(parameters)))
            child = UInt16(clamping: children.count - 1)
        default:
            self = Self.other(action)
        }
    }

    private static func add(_ body: [Action], _ children: inout [ActionCode]) -> UInt16 {
        children.append(ActionCode(body))
        return UInt16(clamping: children.count - 1)
    }

    private static func output(_ action: Action) -> ActionStep {
        var step = ActionStep(.nothing)
        switch action {
        case .output(let port):
            step.op = .output
            step.number = port.rawValue
            step.setClass = .output
        case .outputTruncated(let port, let maxLength):
            step.op = .outputTruncated
            step.number = port.rawValue
            step.second = maxLength
        case .outputRegister(let subfield):
            step.op = .outputRegister
            step.source = FieldRun(subfield)
        case .controller(let parameters):
            step.op = .controller
            step.number = UInt32(parameters.reason.rawValue)
            step.flag = parameters.pause
            // There is no meter 0.
            step.second = parameters.meterID ?? 0
            // Without particulars it is `output:CONTROLLER`.
            if parameters.isPlain { step.setClass = .output }
        case .enqueue(let port, let queue):
            step.op = .enqueue
            step.number = port.rawValue
            step.second = queue
        case .group(let id):
            step.op = .group
            step.number = id
            step.setClass = .group
        case .bundle(let parameters):
            step.op = .bundle
            if let destination = parameters.destination { step.target = FieldRun(destination) }
            step.flag = parameters.destination != nil
        default:
            step.op = .drop
        }
        return step
    }

    private static func header(_ action: Action) -> ActionStep {
        switch action {
        case .pushVLAN(let type): numbered(.pushVLAN, UInt32(type), .pushVLAN)
        case .popVLAN: numbered(.popVLAN, 0, .popVLAN)
        case .pushMPLS(let type): numbered(.pushMPLS, UInt32(type), .pushMPLS)
        case .popMPLS(let type): numbered(.popMPLS, UInt32(type), .popMPLS)
        case .decMPLSTTL: numbered(.decMPLSTTL, 0, .decMPLSTTL)
        // One message for each controller; plain `dec_ttl` names controller 0.
        case .decTTL(let controllers): numbered(.decTTL, UInt32(max(controllers.count, 1)), .decTTL)
        default: ActionStep(.nothing)
        }
    }

    private static func numbered(_ op: Op, _ number: UInt32, _ setClass: ActionSetClass = .invalid) -> ActionStep {
        var step = ActionStep(op)
        step.number = number
        step.setClass = setClass
        return step
    }

    private static func other(_ action: Action) -> ActionStep {
        var step = ActionStep(.nothing)
        switch action {
        case .resubmit(let inPort, let table, let conntrack):
            step = numbered(.resubmit, table.map { UInt32($0) } ?? 255, .resubmit)
            step.second = (inPort ?? .inPort).rawValue
            step.flag = conntrack
        case .gotoTable(let table): step = numbered(.gotoTable, UInt32(table))
        case .exit: step.op = .exit
        case .conjunction: step.op = .conjunction
        case .clearActions: step.op = .clearActions
        case .writeMetadata(let value, let mask):
            step.op = .writeMetadata
            step.high = value & mask
            step.highMask = mask
        case .move(let from, let to):
            step.op = .move
            step.source = FieldRun(from)
            step.target = FieldRun(to)
            step.setClass = .set
        case .push(let from):
            step.op = .push
            step.source = FieldRun(from)
        case .pop(let to):
            step.op = .pop
            step.target = FieldRun(to)
        case .setQueue(let queue): step = numbered(.setQueue, queue, .set)
        case .popQueue: step.op = .popQueue
        case .multipath(let parameters):
            step.op = .multipath
            step.target = FieldRun(parameters.destination)
        case .checkPacketLarger(let length, let to):
            step = numbered(.checkLength, UInt32(length))
            step.target = FieldRun(to)
        case .learn(let parameters):
            step.op = .learn
            if let destination = parameters.resultDestination { step.target = FieldRun(destination) }
            step.flag = parameters.resultDestination != nil
        case .finTimeout(let idle, let hard):
            step = numbered(.finTimeout, UInt32(idle))
            step.second = UInt32(hard)
        case .conntrackClear:
            step.op = .conntrackClear
            step.setClass = .conntrackClear
        case .meter(let id): step = numbered(.meter, id)
        case .deleteField(let field):
            step.op = .deleteOption
            step.target = FieldRun(field)
        // `note` is for people; `sample` is for collectors, and there are none: as in Open vSwitch without IPFIX.
        default: step.op = .nothing
        }
        return step
    }
}

extension ControllerParameters {
    /// Nothing but, perhaps, a length.
    fileprivate var isPlain: Bool {
        reason == .action && controllerID == 0 && userdata.isEmpty && !pause && meterID == nil
    }
}

// MARK: - Assignments

extension ActionStep {
    private static func assignment(_ action: Action) -> ActionStep {
        switch action {
        case .setField(let field, let value, let mask): set(FieldRun(field), value, mask)
        case .load(let value, let to): set(FieldRun(to), value, ~0)
        case .setVLANVID(let vid, let push): tag(UInt64(vid & 0xfff), 0xfff, push)
        case .setVLANPCP(let pcp, let push): tag(UInt64(pcp & 7) << 13, 0xe000, push)
        case .setEthSrc(let mac): set(FieldRun(.ethSrc), UInt128(mac), ~0)
        case .setEthDst(let mac): set(FieldRun(.ethDst), UInt128(mac), ~0)
        case .setIPv4Src(let address): set(FieldRun(.ipv4Src), UInt128(address), ~0)
        case .setIPv4Dst(let address): set(FieldRun(.ipv4Dst), UInt128(address), ~0)
        case .setIPDSCP(let tos): set(FieldRun(.nwTOS), UInt128(tos), 0xfc)
        case .setIPECN(let ecn): set(FieldRun(.nwECN), UInt128(ecn), ~0)
        case .setIPTTL(let ttl): set(FieldRun(.nwTTL), UInt128(ttl), ~0)
        case .setL4SrcPort(let port): ports(Slot.tpSrc, port)
        case .setL4DstPort(let port): ports(Slot.tpDst, port)
        case .setMPLSLabel(let label): set(FieldRun(.mplsLabel), UInt128(label), ~0)
        case .setMPLSTC(let tc): set(FieldRun(.mplsTC), UInt128(tc), ~0)
        case .setMPLSTTL(let ttl): set(FieldRun(.mplsTTL), UInt128(ttl), ~0)
        case .setTunnelID(let id, _): set(FieldRun(.tunID), UInt128(id), ~0)
        default: ActionStep(.nothing)
        }
    }

    private static func ports(_ slot: Slot, _ port: UInt16) -> ActionStep {
        let run = FieldRun(
            word: UInt8(slot.word), shift: UInt8(slot.shift), width: 16, isWide: false, kind: .plain,
            requirement: .ports)
        return set(run, UInt128(port), ~0)
    }

    /// `mod_vlan_vid` and `mod_vlan_pcp`: without `push` they leave an untagged packet alone.
    private static func tag(_ value: UInt64, _ mask: UInt64, _ push: Bool) -> ActionStep {
        var step = ActionStep(.assignTCI)
        step.high = value | 0x1000
        step.highMask = mask | 0x1000
        step.target.requirement = push ? .none : .vlan
        return step
    }

    /// `value` and `mask` are right-aligned.
    private static func set(_ run: FieldRun, _ value: UInt128, _ mask: UInt128) -> ActionStep {
        guard run.kind != .absent else { return ActionStep(.nothing) }
        var step = ActionStep(.assign)
        step.target = run
        let bits = run.width >= 128 ? ~UInt128(0) : (UInt128(1) << UInt128(run.width)) &- 1
        let placedMask = (mask & bits) << UInt128(run.shift)
        let placed = (value << UInt128(run.shift)) & placedMask
        if run.isWide {
            step.high = UInt64(truncatingIfNeeded: placed >> 64)
            step.highMask = UInt64(truncatingIfNeeded: placedMask >> 64)
            step.low = UInt64(truncatingIfNeeded: placed)
            step.lowMask = UInt64(truncatingIfNeeded: placedMask)
        } else {
            step.high = UInt64(truncatingIfNeeded: placed)
            step.highMask = UInt64(truncatingIfNeeded: placedMask)
        }
        switch run.kind {
        case .vlanTCI: step.op = .assignTCI
        case .vlanVID where value == 0xffff:
            // dl_vlan=0xffff is "no tag".
            step.op = .assignTCI
            step.high = 0
            step.highMask = 0xffff
        case .vlanVID, .vlanPCP:
            step.op = .assignTCI
            step.high |= 0x1000
            step.highMask |= 0x1000
        case .mpls: step.op = .assignLabel
        case .inPort, .inPort16:
            step.op = .assignInPort
            step.flag = run.kind == .inPort16
        case .tos:
            // The lower two bits are ECN, a field of its own.
            step.highMask &= ~0x300
            step.high &= ~0x300
        case .plain, .metadata, .tunnelOption, .absent: break
        }
        return step
    }
}
