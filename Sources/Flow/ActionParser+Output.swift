import Base

extension ActionParser {
    func parseOutput(_ text: Text) throws(FlowSyntaxError) -> Action {
        if text.firstIndex(of: "port") != nil, text.firstIndex(of: "max_len") != nil { return try parseTruncated(text) }
        if let port = try Ports.lookUp(text, context) { return ActionParser.output(to: port) }
        var rest = text
        guard let subfield = try? Subfield.take(&rest, context), rest.isEmpty else {
            throw FlowSyntaxError(text, "\(text.echoed): output to unknown port")
        }
        return .outputRegister(subfield)
    }

    private func parseTruncated(_ text: Text) throws(FlowSyntaxError) -> Action {
        var rest = text
        var port: PortNumber?
        var length: UInt32?
        while let item = rest.nextKeyValue() {
            if item.key.equals("port") {
                let number = try Ports.parse(item.value, context)
                guard number < .max || number == .local || number == .inPort else {
                    throw FlowSyntaxError(item.value, "output to unsupported truncate port \(item.value.echoed)")
                }
                port = number
            } else if item.key.equals("max_len") {
                length = try item.value.uint32("max_len")
                if let length, length < 14 {
                    throw FlowSyntaxError(item.value, "max_len \(length) is less than the minimum value 14")
                }
            } else {
                throw FlowSyntaxError(item.key, "invalid key \(item.key.quoted): expected port or max_len")
            }
        }
        guard let port, let length else { throw FlowSyntaxError(text, "expected output(port=PORT,max_len=BYTES)") }
        return .outputTruncated(port, maxLength: length)
    }

    func parseController(_ text: Text) throws(FlowSyntaxError) -> Action {
        var result = ControllerParameters()
        if text.isEmpty { return .controller(result) }
        if ASCII.isDigit(text[0]), !text.isEmpty, text.decimal32() != nil {
            result.maxLength = try text.uint16("max_len")
            return .controller(result)
        }
        var rest = text
        while let item = rest.nextKeyValue() {
            let value = item.value
            if item.key.equals("reason") {
                guard let reason = ControllerParameters.Reason(name: value.string) else {
                    throw FlowSyntaxError(value, "unknown reason \(value.quoted)")
                }
                result.reason = reason
            } else if item.key.equals("max_len") {
                result.maxLength = try value.uint16("max_len")
            } else if item.key.equals("id") {
                result.controllerID = try value.uint16("id")
            } else if item.key.equals("userdata") {
                guard let bytes = value.hexBytes() else {
                    throw FlowSyntaxError(value, "bad hex digit in userdata of controller")
                }
                result.userdata = bytes
            } else if item.key.equals("pause") {
                result.pause = true
            } else if item.key.equals("meter_id") {
                result.meterID = try value.uint32("meter_id")
            } else {
                throw FlowSyntaxError(
                    item.key,
                    "unknown key \(item.key.quoted): expected reason, max_len, id, userdata, pause or meter_id")
            }
        }
        return .controller(result)
    }

    func parseEnqueue(_ text: Text) throws(FlowSyntaxError) -> Action {
        var rest = text
        guard let port = rest.nextWord(separatedBy: ":q,"), !rest.isEmpty else {
            throw FlowSyntaxError(text, "expected enqueue:PORT:QUEUE or enqueue(PORT,QUEUE)")
        }
        return .enqueue(try Ports.parse(port, context), queue: try rest.trimmed().uint32("queue"))
    }

    func parseResubmit(_ text: Text) throws(FlowSyntaxError) -> Action {
        let parts = text.split(at: UInt8(ascii: ","))
        var port: PortNumber?
        var table: UInt8?
        var conntrack = false
        if !parts[0].isEmpty {
            port = try Ports.parse(parts[0], context)
            if port == .inPort { port = nil }
        }
        if parts.count > 1, !parts[1].isEmpty {
            table = try parts[1].uint8("table")
            if table == 255 { table = nil }
        }
        if parts.count > 2, !parts[2].isEmpty {
            guard parts[2].equals("ct") else {
                throw FlowSyntaxError(parts[2], "\(parts[2].echoed): unknown parameter: expected ct")
            }
            conntrack = true
        }
        if parts.count > 3 { throw FlowSyntaxError(parts[3], "expected ) behind resubmit(port,table,ct") }
        if port == nil, table == nil {
            throw FlowSyntaxError(text, "at least one \"in_port\" or \"table\" must be specified on resubmit")
        }
        return .resubmit(inPort: port, table: table, conntrack: conntrack)
    }

    func parseConjunction(_ text: Text) throws(FlowSyntaxError) -> Action {
        var rest = text
        guard let id = rest.nextWord(separatedBy: ", "), let clause = rest.nextWord(separatedBy: "/ "),
            let count = rest.nextWord(separatedBy: "/ "), rest.trimmed().isEmpty
        else { throw FlowSyntaxError(text, "expected conjunction(id,k/n)") }
        let number = try id.uint32("conjunction id")
        let k = try clause.uint8("clause")
        let n = try count.uint8("number of clauses")
        if n < 2 { throw FlowSyntaxError(count, "conjunction must have at least 2 clauses") }
        if n > 64 { throw FlowSyntaxError(count, "conjunction must have at most 64 clauses") }
        if k < 1 { throw FlowSyntaxError(clause, "clause index must be positive") }
        if k > n { throw FlowSyntaxError(clause, "clause index must be less than or equal to number of clauses") }
        return .conjunction(id: number, clause: k, of: n)
    }

    func parseWriteMetadata(_ text: Text) throws(FlowSyntaxError) -> Action {
        let slash = text.firstIndex(of: UInt8(ascii: "/")) ?? text.count
        let value = try text.prefix(slash).uint64("metadata")
        let mask = slash == text.count ? ~0 : try text.dropFirst(slash + 1).uint64("mask of metadata")
        return .writeMetadata(value: value & mask, mask: mask)
    }

    func parseControllerIDs(_ text: Text) throws(FlowSyntaxError) -> [UInt16] {
        var rest = text
        var ids: [UInt16] = []
        while let word = rest.nextWord(separatedBy: ", ") { ids.append(try word.uint16("controller id")) }
        if !text.isEmpty, ids.isEmpty {
            throw FlowSyntaxError(text, "expected at least one controller id in dec_ttl(...)")
        }
        return ids
    }

    func parseFinTimeout(_ text: Text) throws(FlowSyntaxError) -> Action {
        var rest = text
        var idle: UInt16 = 0
        var hard: UInt16 = 0
        while let item = rest.nextKeyValue() {
            if item.key.equals("idle_timeout") {
                idle = try item.value.uint16("idle_timeout")
            } else if item.key.equals("hard_timeout") {
                hard = try item.value.uint16("hard_timeout")
            } else {
                throw FlowSyntaxError(item.key, "invalid key \(item.key.quoted): expected idle_timeout or hard_timeout")
            }
        }
        return .finTimeout(idle: idle, hard: hard)
    }

    func parseNote(_ text: Text) throws(FlowSyntaxError) -> Action {
        guard let bytes = text.hexBytes() else { throw FlowSyntaxError(text, "bad hex digit in note argument") }
        guard bytes.count <= 65000 else { throw FlowSyntaxError(text, "note is longer than 65000 bytes") }
        return .note(bytes)
    }
}

extension ControllerParameters.Reason {
    static let names: [(String, ControllerParameters.Reason)] = [
        ("no_match", .noMatch), ("action", .action), ("invalid_ttl", .invalidTTL), ("action_set", .actionSet),
        ("group", .group), ("packet_out", .packetOut),
    ]

    init?(name: String) {
        guard let known = ControllerParameters.Reason.names.first(where: { $0.0 == name }) else { return nil }
        self = known.1
    }

    var name: String { ControllerParameters.Reason.names.first { $0.1 == self }?.0 ?? "action" }
}

extension Text {
    /// Everything between the separators, empty pieces included.
    func split(at separator: UInt8) -> [Text] {
        var parts: [Text] = []
        var from = 0
        for i in 0..<count where self[i] == separator {
            parts.append(slice(from, i))
            from = i + 1
        }
        parts.append(slice(from, count))
        return parts
    }
}
