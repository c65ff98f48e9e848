import Base

extension ActionPrinter {
    func text(_ parameters: ConntrackParameters) -> String {
        var parts: [String] = []
        if parameters.commit { parts.append("commit") }
        if parameters.force { parts.append("force") }
        if let table = parameters.table { parts.append("table=\(table)") }
        switch parameters.zone {
        case .immediate(let zone): if zone != 0 { parts.append("zone=\(zone)") }
        case .field(let subfield): parts.append("zone=\(subfield.text)")
        }
        if let nat = parameters.nat { parts.append(text(nat)) }
        if !parameters.actions.isEmpty { parts.append("exec(\(text(parameters.actions)))") }
        if let alg = parameters.alg { parts.append("alg=\(alg)") }
        if let timeouts = parameters.timeouts { parts.append("timeout=\(timeouts.name)") }
        return "ct(\(parts.joined(separator: ",")))"
    }

    func text(_ nat: NATParameters) -> String {
        if nat.kind == .unspecified { return "nat" }
        var parts = [nat.kind == .source ? "src" : "dst"]
        if let addresses = nat.addresses {
            let isBracketed = nat.isIPv6 && nat.ports != nil
            func address(_ value: UInt128) -> String {
                if !nat.isIPv6 { return Digits.ipv4(UInt32(truncatingIfNeeded: value)) }
                return isBracketed ? "[\(Digits.ipv6(value))]" : Digits.ipv6(value)
            }
            parts[0] += "=\(address(addresses.lowerBound))"
            if addresses.upperBound != addresses.lowerBound { parts[0] += "-\(address(addresses.upperBound))" }
            if let ports = nat.ports {
                parts[0] += ":\(ports.lowerBound)"
                if ports.upperBound != ports.lowerBound { parts[0] += "-\(ports.upperBound)" }
            }
        }
        if nat.persistent { parts.append("persistent") }
        if nat.hash { parts.append("hash") }
        if nat.random { parts.append("random") }
        return "nat(\(parts.joined(separator: ",")))"
    }

    func text(_ sample: SampleParameters) -> String {
        var text = "sample(probability=\(sample.probability),collector_set_id=\(sample.collectorSet),"
        text += "obs_domain_id=\(sample.observationDomain),obs_point_id=\(sample.observationPoint)"
        if let port = sample.samplingPort { text += ",sampling_port=\(Ports.format(port, context))" }
        switch sample.direction {
        case .both: break
        case .ingress: text += ",ingress"
        case .egress: text += ",egress"
        }
        return text + ")"
    }

    func text(_ learn: LearnParameters) -> String {
        var parts = ["table=\(learn.table)"]
        if learn.idleTimeout != 0 { parts.append("idle_timeout=\(learn.idleTimeout)") }
        if learn.hardTimeout != 0 { parts.append("hard_timeout=\(learn.hardTimeout)") }
        if learn.finIdleTimeout != 0 { parts.append("fin_idle_timeout=\(learn.finIdleTimeout)") }
        if learn.finHardTimeout != 0 { parts.append("fin_hard_timeout=\(learn.finHardTimeout)") }
        if learn.priority != FlowSpec.defaultPriority { parts.append("priority=\(learn.priority)") }
        if learn.sendFlowRemoved { parts.append("send_flow_rem") }
        if learn.deleteLearned { parts.append("delete_learned") }
        if learn.cookie != 0 { parts.append("cookie=\(Digits.hex(learn.cookie))") }
        if learn.limit != 0 { parts.append("limit=\(learn.limit)") }
        if let destination = learn.resultDestination { parts.append("result_dst=\(destination.text)") }
        parts += learn.specs.map(text)
        return "learn(\(parts.joined(separator: ",")))"
    }

    private func text(_ spec: LearnParameters.Spec) -> String {
        switch spec {
        case .match(.immediate(let value), let destination):
            if destination.isWhole {
                return "\(destination.field.name)=\(destination.field.text(value, mask: ~0, context))"
            }
            return "\(destination.text)=\(Digits.hex(value))"
        case .match(.field(let source), let destination):
            let isSame = source.field == destination.field && source.offset == destination.offset
            return isSame ? destination.text : "\(destination.text)=\(source.text)"
        case .load(.immediate(let value), let destination): return "load:\(Digits.hex(value))->\(destination.text)"
        case .load(.field(let source), let destination): return "load:\(source.text)->\(destination.text)"
        case .output(let source): return "output:\(source.text)"
        }
    }
}
