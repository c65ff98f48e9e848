import Base

/// Writes actions as ovs-ofctl does. The list must be what `ActionChecker` made of it for the version.
struct ActionPrinter {
    let context: FlowContext
    /// Whether what ovs-ofctl prints but does not read is written in another way: `set_field` with a mask on a field
    /// that takes none (which a `load` of OpenFlow 1.5 turns into) as `load`.
    var readsBack = false

    func text(_ actions: [Action]) -> String {
        let shown = actions.filter { $0 != .drop }
        return shown.isEmpty ? "drop" : shown.map(text).joined(separator: ",")
    }

    private func port(_ number: PortNumber) -> String { Ports.format(number, context) }

    func text(_ action: Action) -> String {
        switch action {
        case .output(let number): number < .max ? "output:\(port(number))" : port(number)
        case .outputTruncated(let number, let length): "output(port=\(port(number)),max_len=\(length))"
        case .outputRegister(let subfield): "output:\(subfield.text)"
        case .controller(let parameters): text(parameters)
        case .enqueue(let number, let queue): "enqueue:\(port(number)):\(queue)"
        case .group(let id): "group:\(id)"
        case .bundle(let parameters): text(parameters)
        case .drop: "drop"
        case .resubmit(let number, let table, let conntrack): resubmit(number, table, conntrack)
        case .gotoTable(let table): "goto_table:\(table)"
        case .clone(let actions): "clone(\(text(actions)))"
        case .exit: "exit"
        case .conjunction(let id, let clause, let count): "conjunction(\(id),\(clause)/\(count))"
        case .writeActions(let actions): "write_actions(\(text(actions)))"
        case .clearActions: "clear_actions"
        case .writeMetadata(let value, let mask):
            "write_metadata:\(Digits.hex(value))" + (mask == ~0 ? "" : "/\(Digits.hex(mask))")
        case .meter(let id): "meter:\(id)"
        case .setField(let field, let value, let mask): setField(field, value, mask)
        case .load(let value, let subfield): "load:\(Digits.hex(value))->\(subfield.text)"
        case .move(let source, let destination): "move:\(source.text)->\(destination.text)"
        case .push(let subfield): "push:\(subfield.text)"
        case .pop(let subfield): "pop:\(subfield.text)"
        case .deleteField(let field): "delete_field:\(field.name)"
        default: textOfHeaderAction(action)
        }
    }

    private func textOfHeaderAction(_ action: Action) -> String {
        switch action {
        case .setVLANVID(let vid, let pushes): "\(pushes ? "mod" : "set")_vlan_vid:\(vid)"
        case .setVLANPCP(let pcp, let pushes): "\(pushes ? "mod" : "set")_vlan_pcp:\(pcp)"
        case .setEthSrc(let address): "mod_dl_src:\(Digits.ethernet(address))"
        case .setEthDst(let address): "mod_dl_dst:\(Digits.ethernet(address))"
        case .setIPv4Src(let address): "mod_nw_src:\(Digits.ipv4(address))"
        case .setIPv4Dst(let address): "mod_nw_dst:\(Digits.ipv4(address))"
        case .setIPDSCP(let tos): "mod_nw_tos:\(tos)"
        case .setIPECN(let ecn): "mod_nw_ecn:\(ecn)"
        case .setIPTTL(let ttl): "mod_nw_ttl:\(ttl)"
        case .setL4SrcPort(let port): "mod_tp_src:\(port)"
        case .setL4DstPort(let port): "mod_tp_dst:\(port)"
        case .setMPLSLabel(let label): "set_mpls_label(\(label))"
        case .setMPLSTC(let tc): "set_mpls_tc(\(tc))"
        case .setMPLSTTL(let ttl): "set_mpls_ttl(\(ttl))"
        case .setTunnelID(let id, let wide): "set_tunnel\(wide ? "64" : ""):\(Digits.hex(id))"
        case .pushVLAN(let type): "push_vlan:\(Digits.hex(type))"
        case .popVLAN: context.version == .openFlow10 ? "strip_vlan" : "pop_vlan"
        case .pushMPLS(let type): "push_mpls:\(Digits.hex(type, digits: 4))"
        case .popMPLS(let type): "pop_mpls:\(Digits.hex(type, digits: 4))"
        case .decTTL(let controllers):
            controllers.isEmpty ? "dec_ttl" : "dec_ttl(\(controllers.map(String.init).joined(separator: ",")))"
        case .decMPLSTTL: "dec_mpls_ttl"
        case .setQueue(let queue): "set_queue:\(queue)"
        case .popQueue: "pop_queue"
        case .multipath(let parameters): text(parameters)
        case .checkPacketLarger(let length, let subfield): "check_pkt_larger(\(length))->\(subfield.text)"
        case .learn(let parameters): text(parameters)
        case .finTimeout(let idle, let hard): finTimeout(idle, hard)
        case .note(let bytes): "note:\(Digits.bytes(bytes))"
        case .conntrack(let parameters): text(parameters)
        case .conntrackClear: "ct_clear"
        case .sample(let parameters): text(parameters)
        default: ""
        }
    }

    private func setField(_ field: MatchField, _ value: UInt128, _ mask: UInt128) -> String {
        if readsBack, !field.isMaskable, mask != field.layout?.wireMask,
            let loads = ActionChecker.loads(field, value, mask), !loads.isEmpty
        {
            return text(loads)
        }
        if readsBack, mask == 0 { return "set_field:*->\(field.name)" }
        return "set_field:\(field.text(value, mask: mask, context))->\(field.name)"
    }

    private func resubmit(_ number: PortNumber?, _ table: UInt8?, _ conntrack: Bool) -> String {
        if let number, table == nil, !conntrack { return "resubmit:\(port(number))" }
        let inPort = number.map(port) ?? ""
        return "resubmit(\(inPort),\(table.map(String.init) ?? "")\(conntrack ? ",ct" : ""))"
    }

    private func finTimeout(_ idle: UInt16, _ hard: UInt16) -> String {
        var parts: [String] = []
        if idle != 0 { parts.append("idle_timeout=\(idle)") }
        if hard != 0 { parts.append("hard_timeout=\(hard)") }
        return "fin_timeout(\(parts.joined(separator: ",")))"
    }

    private func text(_ parameters: ControllerParameters) -> String {
        if parameters.isPlainOutput { return "CONTROLLER:\(parameters.maxLength)" }
        var parts: [String] = []
        if parameters.reason != .action { parts.append("reason=\(parameters.reason.name)") }
        if parameters.maxLength != 0xffff { parts.append("max_len=\(parameters.maxLength)") }
        if parameters.controllerID != 0 { parts.append("id=\(parameters.controllerID)") }
        if !parameters.userdata.isEmpty { parts.append("userdata=\(Digits.bytes(parameters.userdata))") }
        if parameters.pause { parts.append("pause") }
        if let meter = parameters.meterID { parts.append("meter_id=\(meter)") }
        return "controller(\(parts.joined(separator: ",")))"
    }

    private func text(_ parameters: BundleParameters) -> String {
        let destination = parameters.destination.map { "\($0.text)," } ?? ""
        let members = parameters.members.map(port).joined(separator: ",")
        return
            "\(parameters.destination == nil ? "bundle" : "bundle_load")(\(parameters.fields.name),\(parameters.basis),"
            + "\(parameters.algorithm.name),ofport,\(destination)members:\(members))"
    }

    private func text(_ parameters: MultipathParameters) -> String {
        "multipath(\(parameters.fields.name),\(parameters.basis),\(parameters.algorithm.name),\(parameters.links),"
            + "\(parameters.argument),\(parameters.destination.text))"
    }
}
