import Base

extension ActionChecker {
    mutating func checkConntrack(_ parameters: ConntrackParameters) throws(FlowSyntaxError) -> ConntrackParameters {
        let type = match.key.effectiveEthType
        let isIP = type == 0x0800 || type == 0x86dd
        if !isIP { try refuse("ct needs ip or ipv6 in the match") }
        if match.key[.ctState] & 0x10 != 0, parameters.commit { try refuse("cannot commit what matched ct_state=+inv") }
        let proto = match.key[.nwProto]
        if parameters.alg == "ftp", proto != 6 { try refuse("alg=ftp needs tcp or tcp6 in the match") }
        if parameters.alg == "tftp", proto != 17 { try refuse("alg=tftp needs udp or udp6 in the match") }
        if case .field(let subfield) = parameters.zone { try readable(subfield) }
        if let nat = parameters.nat, nat.addresses != nil, nat.isIPv6 != (type == 0x86dd) {
            try refuse("the addresses of nat are of another family than the match")
        }
        var parameters = parameters
        parameters.actions = try nested(parameters.actions)
        return parameters
    }

    func checkLearn(_ parameters: LearnParameters) throws(FlowSyntaxError) {
        if !refuses { return }
        var learned = Match()
        for spec in parameters.specs {
            switch spec {
            case .match(let source, let destination):
                if case .field(let subfield) = source { try readable(subfield) }
                try require(destination.field, in: learned)
                if case .immediate(let value) = source {
                    let shift = UInt128(destination.offset)
                    let mask = destination.isWhole ? ~0 : FieldLayout.ones(destination.width) << shift
                    learned.set(destination.field, value << shift, mask: mask)
                }
            case .load(let source, let destination):
                if case .field(let subfield) = source { try readable(subfield) }
                try require(destination.field, in: learned)
                if !destination.field.isWritable { throw fail("\(destination.field.name) is not writable") }
            case .output(let source): try readable(source)
            }
        }
    }

    func require(_ field: MatchField, in learned: Match) throws(FlowSyntaxError) {
        if !learned.satisfies(field.prerequisite) {
            throw fail("\(field.name) needs \(field.prerequisite.explanation) before it in learn(...)")
        }
    }
}
