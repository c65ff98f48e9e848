import Base

extension ActionParser {
    func parseLearn(_ text: Text) throws(FlowSyntaxError) -> LearnParameters {
        var rest = text
        var result = LearnParameters()
        while let item = rest.nextKeyValue() {
            let value = item.value
            if item.key.equals("table") {
                result.table = try value.uint8("table")
                if result.table == 255 { throw FlowSyntaxError(value, "table id 255 not valid for `learn' action") }
            } else if item.key.equals("priority") {
                result.priority = try value.uint16("priority")
            } else if item.key.equals("idle_timeout") {
                result.idleTimeout = try value.uint16("idle_timeout")
            } else if item.key.equals("hard_timeout") {
                result.hardTimeout = try value.uint16("hard_timeout")
            } else if item.key.equals("fin_idle_timeout") {
                result.finIdleTimeout = try value.uint16("fin_idle_timeout")
            } else if item.key.equals("fin_hard_timeout") {
                result.finHardTimeout = try value.uint16("fin_hard_timeout")
            } else if item.key.equals("cookie") {
                result.cookie = try value.uint64("cookie")
            } else if item.key.equals("send_flow_rem") {
                result.sendFlowRemoved = true
            } else if item.key.equals("delete_learned") {
                result.deleteLearned = true
            } else if item.key.equals("limit") {
                result.limit = try value.uint32("limit")
            } else if item.key.equals("result_dst") {
                result.resultDestination = try parseResultDestination(value)
            } else {
                result.specs.append(try parseLearnSpec(item))
            }
        }
        return result
    }

    private func parseResultDestination(_ text: Text) throws(FlowSyntaxError) -> Subfield {
        let subfield = try Subfield.parse(text, context)
        guard subfield.field.isWritable else { throw FlowSyntaxError(text, "\(text.echoed) is read-only") }
        guard subfield.width == 1 else {
            throw FlowSyntaxError(text, "result_dst in 'learn' action must be a single bit")
        }
        return subfield
    }

    private func parseLearnSpec(_ item: KeyValue) throws(FlowSyntaxError) -> LearnParameters.Spec {
        if item.key.equals("load") { return try parseLearnLoad(item.value) }
        if item.key.equals("output") { return .output(try Subfield.parse(item.value, context)) }
        let destination: Subfield
        do {
            destination = try Subfield.parse(item.key, context)
        } catch {
            throw FlowSyntaxError(item.key, "unknown keyword \(item.key.echoed) in learn: \(error.message)")
        }
        if item.value.isEmpty { return .match(.field(destination), destination) }
        var rest = item.value
        if let source = try? Subfield.take(&rest, context), rest.isEmpty {
            guard source.width == destination.width else {
                throw FlowSyntaxError(
                    item.value,
                    "bit widths of \(item.key.echoed) (\(destination.width)) and \(item.value.echoed) (\(source.width)) differ"
                )
            }
            return .match(.field(source), destination)
        }
        let value: UInt128
        if destination.isWhole {
            value = try destination.field.parseExact(item.value, context)
        } else {
            value = try item.value.number("value of \(item.key.echoed)", maximum: FieldLayout.ones(destination.width))
        }
        return .match(.immediate(value), destination)
    }

    private func parseLearnLoad(_ text: Text) throws(FlowSyntaxError) -> LearnParameters.Spec {
        guard let at = text.firstIndex(of: "->") else { throw FlowSyntaxError(text, "missing `->' in \(text.quoted)") }
        if at == 0 { throw FlowSyntaxError(text, "missing source before `->' in \(text.quoted)") }
        if ASCII.isDigit(text[0]) {
            let destination = try Subfield.parse(text.dropFirst(at + 2), context)
            let value = try text.prefix(at).number("value of load", maximum: FieldLayout.ones(destination.width))
            return .load(.immediate(value), destination)
        }
        let (source, destination) = try parseMoveFields(text)
        return .load(.field(source), destination)
    }

    func parseSample(_ text: Text) throws(FlowSyntaxError) -> SampleParameters {
        var rest = text
        var result = SampleParameters()
        while let item = rest.nextKeyValue() {
            let value = item.value
            if item.key.equals("probability") {
                result.probability = try value.uint16("probability")
            } else if item.key.equals("collector_set_id") {
                result.collectorSet = try value.uint32("collector_set_id")
            } else if item.key.equals("obs_domain_id") {
                result.observationDomain = try value.uint32("obs_domain_id")
            } else if item.key.equals("obs_point_id") {
                result.observationPoint = try value.uint32("obs_point_id")
            } else if item.key.equals("sampling_port") {
                result.samplingPort = try Ports.parse(value, context)
            } else if item.key.equals("ingress") {
                result.direction = .ingress
            } else if item.key.equals("egress") {
                result.direction = .egress
            } else {
                throw FlowSyntaxError(item.key, "invalid key \(item.key.quoted) in sample")
            }
        }
        if result.probability == 0 {
            throw FlowSyntaxError(text, "non-zero \"probability\" must be specified on sample")
        }
        return result
    }
}
