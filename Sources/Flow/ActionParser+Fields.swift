import Base

extension ActionParser {
    /// `value->field`: both sides.
    private func arrow(_ text: Text) throws(FlowSyntaxError) -> (Text, Text) {
        guard let at = text.firstIndex(of: "->") else { throw FlowSyntaxError(text, "\(text.echoed): missing `->'") }
        let destination = text.dropFirst(at + 2)
        if destination.isEmpty { throw FlowSyntaxError(destination, "missing field name following `->'") }
        return (text.prefix(at), destination)
    }

    func parseSetField(_ text: Text) throws(FlowSyntaxError) -> Action {
        let (valueText, name) = try arrow(text)
        guard let named = MatchField.byName.find(name) else {
            throw FlowSyntaxError(name, "\(name.echoed) is not a valid OXM field name")
        }
        let field = try named.placed(by: context, at: name)
        guard field.isWritable else { throw FlowSyntaxError(name, "\(name.echoed) is read-only") }
        let parsed = try field.parse(valueText, context)
        if let layout = field.layout, parsed.value & ~layout.stored != 0 {
            throw FlowSyntaxError(valueText, "\(valueText.echoed) is not a valid value for field \(name.echoed)")
        }
        // The value keeps the bits outside of the mask until the version is looked at: OpenFlow 1.0 drops the mask only.
        return .setField(field, value: parsed.value, mask: parsed.mask)
    }

    func parseLoad(_ text: Text) throws(FlowSyntaxError) -> Action {
        let (valueText, destination) = try arrow(text)
        let subfield = try Subfield.parse(destination, context)
        guard let layout = subfield.field.layout, subfield.field.isWritable else {
            throw FlowSyntaxError(destination, "\(subfield.field.name) is read-only")
        }
        let value = try valueText.number("value of load", maximum: layout.wireMask)
        guard value <= FieldLayout.ones(subfield.width) else {
            throw FlowSyntaxError(valueText, "value \(valueText.echoed) does not fit into \(subfield.width) bits")
        }
        return .load(value: value, subfield)
    }

    func parseMove(_ text: Text) throws(FlowSyntaxError) -> Action {
        let (source, destination) = try parseMoveFields(text)
        return .move(source, destination)
    }

    func parseMoveFields(_ text: Text) throws(FlowSyntaxError) -> (Subfield, Subfield) {
        var rest = text
        let source = try Subfield.take(&rest, context)
        guard rest.hasPrefix("->") else { throw FlowSyntaxError(rest, "missing `->' following source") }
        let destination = try Subfield.parse(rest.dropFirst(2), context)
        guard source.width == destination.width else {
            throw FlowSyntaxError(
                text, "source field is \(source.width) bits wide but destination is \(destination.width) bits wide")
        }
        return (source, destination)
    }

    func parseDeleteField(_ text: Text) throws(FlowSyntaxError) -> Action {
        guard let field = MatchField.bySubfieldName.find(text) else {
            throw FlowSyntaxError(text, "unknown field \(text.quoted)")
        }
        guard case .tunMetadata = field else {
            throw FlowSyntaxError(text, "\(text.echoed) cannot be deleted: expected a tun_metadata field")
        }
        return .deleteField(try field.placed(by: context, at: text))
    }

    func parsePushVLAN(_ item: KeyValue) throws(FlowSyntaxError) -> Action {
        if context.version < .openFlow11 { throw FlowSyntaxError(item.key, "push_vlan needs OpenFlow11 or later") }
        let type = try item.value.uint16("Ethernet type")
        guard type == 0x8100 || type == 0x88a8 else {
            throw FlowSyntaxError(
                item.value, "\(item.value.echoed): not a valid VLAN ethertype: expected 0x8100 or 0x88a8")
        }
        return .pushVLAN(type)
    }

    func parseEthernet(_ text: Text) throws(FlowSyntaxError) -> UInt64 {
        guard let address = text.ethernetAddress() else {
            throw FlowSyntaxError(text, "\(text.echoed): invalid MAC address")
        }
        return address
    }

    func parseIPv4(_ text: Text) throws(FlowSyntaxError) -> UInt32 {
        guard let address = text.ipv4Address() else {
            throw FlowSyntaxError(text, "\(text.echoed): invalid IP address")
        }
        return address
    }

    func parseCheckPacketLarger(_ text: Text) throws(FlowSyntaxError) -> Action {
        var (value, destination) = try arrow(text)
        if value[value.count - 1] == UInt8(ascii: ")") { value.end -= 1 }
        let subfield = try Subfield.parse(destination, context)
        guard subfield.width == 1 else { throw FlowSyntaxError(destination, "only 1-bit destination field is allowed") }
        return .checkPacketLarger(try value.uint16("packet length"), subfield)
    }
}
