// Which tunnel options and timeout policies actions name: one that is in use must stay.

extension Action {
    /// One bit for each `tun_metadata` field that the action reads, writes or will match on.
    public var tunnelOptions: UInt64 {
        switch self {
        case .outputRegister(let subfield), .push(let subfield), .pop(let subfield), .load(_, let subfield),
            .checkPacketLarger(_, let subfield):
            subfield.field.presence
        case .setField(let field, _, _), .deleteField(let field): field.presence
        case .move(let source, let destination): source.field.presence | destination.field.presence
        case .bundle(let parameters): parameters.destination?.field.presence ?? 0
        case .multipath(let parameters): parameters.destination.field.presence
        case .learn(let parameters): parameters.tunnelOptions
        case .conntrack(let parameters): parameters.tunnelOptions
        case .clone(let actions), .writeActions(let actions): actions.tunnelOptions
        case .output, .outputTruncated, .controller, .enqueue, .group, .drop, .resubmit, .gotoTable, .exit,
            .conjunction,
            .clearActions, .writeMetadata, .meter, .setVLANVID, .setVLANPCP, .setEthSrc, .setEthDst, .setIPv4Src,
            .setIPv4Dst, .setIPDSCP, .setIPECN, .setIPTTL, .setL4SrcPort, .setL4DstPort, .setMPLSLabel, .setMPLSTC,
            .setMPLSTTL, .setTunnelID, .pushVLAN, .popVLAN, .pushMPLS, .popMPLS, .decTTL, .decMPLSTTL, .setQueue,
            .popQueue, .finTimeout, .note, .conntrackClear, .sample:
            0
        }
    }
}

extension Sequence<Action> {
    public var tunnelOptions: UInt64 { reduce(0) { $0 | $1.tunnelOptions } }
}

extension LearnParameters {
    fileprivate var tunnelOptions: UInt64 {
        var options = resultDestination?.field.presence ?? 0
        func add(_ source: Source) {
            if case .field(let subfield) = source { options |= subfield.field.presence }
        }
        for spec in specs {
            switch spec {
            case .match(let source, let target), .load(let source, let target):
                add(source)
                options |= target.field.presence
            case .output(let source): options |= source.field.presence
            }
        }
        return options
    }
}

extension ConntrackParameters {
    fileprivate var tunnelOptions: UInt64 {
        var options = actions.tunnelOptions
        if case .field(let subfield) = zone { options |= subfield.field.presence }
        return options
    }
}

extension Sequence<Action> {
    /// Numbers of the timeout policies that the actions name.
    public var timeoutPolicies: Set<UInt8> {
        reduce(into: []) { policies, action in
            switch action {
            case .conntrack(let parameters): if let named = parameters.timeouts { policies.insert(named.number) }
            case .clone(let actions), .writeActions(let actions): policies.formUnion(actions.timeoutPolicies)
            default: break
            }
        }
    }
}
