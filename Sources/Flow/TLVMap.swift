// Which option of a tunnel header stands for which `tun_metadata` field: ovs-fields(7), "Tunnel Metadata", and
// ovs-ofctl(8), `add-tlv-map`.
//
// A Geneve header carries options of any class, type and length; a rule names fields with fixed numbers. The TLV map of a
// bridge joins the two and gives each mapped option its place in a key: a run of four-byte units in the 256 bytes from
// `Slot.tunMetadataSpace`. A mapping that rules use never moves and never goes, so a field that a parser has placed stays
// right for as long as the rule lives, and nothing on the way of a packet has to ask the map.

/// A `tun_metadata` field, and where it lies if a TLV map says so.
public struct TunnelMetadataField: Hashable, Sendable {
    /// 0 to 63.
    public let number: UInt8
    /// First unit of four bytes.
    public let firstUnit: UInt8
    /// Units of four bytes; 0 while no map has placed the field.
    public let unitCount: UInt8

    init(_ number: UInt8, firstUnit: UInt8 = 0, unitCount: UInt8 = 0) {
        self.number = number
        self.firstUnit = firstUnit
        self.unitCount = unitCount
    }

    /// Bytes of the longest field whose value rules can name.
    public static var longestValue: Int { 16 }

    /// nil for a field that is not mapped, and for one longer than what a value can be.
    var layout: FieldLayout? {
        let (first, count) = (Int(firstUnit), Int(unitCount))
        guard count > 0, count * 4 <= Self.longestValue, first & 1 + count <= 4 else { return nil }
        let word = Slot.tunMetadataSpace.word + first / 2
        if first & 1 + count <= 2 {
            let shift = (2 - first & 1 - count) * 32
            return FieldLayout(Slot(word, shift, count * 32), width: count * 32, byteCount: count * 4)
        }
        let shift = (4 - first & 1 - count) * 32
        return FieldLayout(Slot(word, 0, 128), shift: shift, width: count * 32, byteCount: count * 4)
    }

    /// The bit of `Slot.tunMetadataPresent` that says whether a packet has the option.
    @inlinable public var presence: UInt64 { 1 &<< UInt64(number & 63) }
}

extension TunnelMetadataField {
    /// All bytes of the field in a key, first one first.
    public func bytes(of key: FlowKey) -> [UInt8] {
        (Int(firstUnit)..<Int(firstUnit) + Int(unitCount)).flatMap { unit -> [UInt8] in
            guard unit < 64 else { return [] }
            let four = key.words[Slot.tunMetadataSpace.word + unit / 2] >> (unit & 1 == 0 ? 32 : 0)
            return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: four >> $0) }
        }
    }
}

/// One line of a TLV map.
public struct TLVMapping: Hashable, Sendable {
    public var optionClass: UInt16
    public var optionType: UInt8
    /// Bytes, without the option's own header.
    public var length: Int
    public var field: TunnelMetadataField
}

/// Why a map refused a mapping.
public struct TLVMapError: Error, Hashable, Sendable {
    public enum Kind: Sendable { case alreadyMapped, duplicate, badLength, badField, full }
    public var kind: Kind
    public var message: String
}

/// The TLV map of one bridge. A value: whoever holds one keeps it as it was.
public struct TLVMap: Equatable, Sendable {
    public static var fieldLimit: Int { 64 }
    /// Bytes of all options.
    public static var space: Int { 256 }
    public static var longestOption: Int { 124 }

    /// By number of the field.
    private var entries: [TLVMapping?] = []
    /// One bit for each unit of four bytes that is taken.
    private var taken: UInt64 = 0

    public init() {}

    public var mappings: [TLVMapping] { entries.compactMap { $0 } }
    public var allocated: Int { taken.nonzeroBitCount * 4 }

    public subscript(number: UInt8) -> TLVMapping? { Int(number) < entries.count ? entries[Int(number)] : nil }

    /// The mapping of an option as it stands in a header.
    public func mapping(optionClass: UInt16, optionType: UInt8) -> TLVMapping? {
        for case let mapping? in entries where mapping.optionType == optionType && mapping.optionClass == optionClass {
            return mapping
        }
        return nil
    }

    /// Whether this very mapping is there.
    public func has(_ request: TLVMapRequest) -> Bool {
        guard request.number < Self.fieldLimit, let mapping = self[UInt8(clamping: request.number)] else {
            return false
        }
        return mapping.optionClass == request.optionClass && mapping.optionType == request.optionType
            && mapping.length == request.length
    }

    public mutating func add(_ request: TLVMapRequest) throws(TLVMapError) {
        let name = "tun_metadata\(request.number)"
        guard request.number < Self.fieldLimit else {
            throw TLVMapError(kind: .badField, message: "there is no \(name): fields are tun_metadata0 to 63")
        }
        guard request.length > 0, request.length <= Self.longestOption, request.length % 4 == 0 else {
            throw TLVMapError(
                kind: .badLength, message: "len=\(request.length) of \(name): expected a multiple of 4 from 4 to 124")
        }
        if let old = self[UInt8(request.number)] {
            throw TLVMapError(kind: .alreadyMapped, message: "\(name) is mapped already, to \(old.option)")
        }
        if let other = mapping(optionClass: request.optionClass, optionType: request.optionType) {
            throw TLVMapError(
                kind: .duplicate, message: "\(other.option) is mapped already, to tun_metadata\(other.field.number)")
        }
        guard let first = place(units: request.length / 4) else {
            throw TLVMapError(
                kind: .full,
                message: "no room for the \(request.length) bytes of \(name): \(allocated) of \(Self.space) are taken")
        }
        let field = TunnelMetadataField(
            UInt8(request.number), firstUnit: UInt8(first), unitCount: UInt8(request.length / 4))
        taken |= Self.units(first, request.length / 4)
        if entries.isEmpty { entries = Array(repeating: nil, count: Self.fieldLimit) }
        entries[request.number] = TLVMapping(
            optionClass: request.optionClass, optionType: request.optionType, length: request.length, field: field)
    }

    public mutating func remove(_ number: UInt8) {
        guard let mapping = self[number] else { return }
        taken &= ~Self.units(Int(mapping.field.firstUnit), Int(mapping.field.unitCount))
        entries[Int(number)] = nil
    }

    /// The first room for so many units. What a value can name lies in at most two words of a key.
    private func place(units count: Int) -> Int? {
        for first in 0...(64 - count) where taken & Self.units(first, count) == 0 {
            if count > 4 || first & 1 + count <= 4 { return first }
        }
        return nil
    }

    private static func units(_ first: Int, _ count: Int) -> UInt64 { ((1 &<< UInt64(count)) &- 1) &<< UInt64(first) }
}

extension TLVMapping {
    /// For messages.
    var option: String { "class \(Digits.hex(optionClass)) type \(Digits.hex(optionType))" }

    /// As `add-tlv-map` takes it.
    public var text: String {
        "{class=\(Digits.hex(optionClass)),type=\(Digits.hex(optionType)),len=\(length)}->tun_metadata\(field.number)"
    }
}

extension MatchField {
    /// The field in its place. Only `tun_metadata` fields have one to be asked for.
    func placed(by context: FlowContext, at text: Text) throws(FlowSyntaxError) -> MatchField {
        guard case .tunMetadata(let field) = self else { return self }
        guard let mapping = context.tlvMap[field.number] else {
            throw FlowSyntaxError(
                text, "\(name) is not mapped to an option: expected an entry of the TLV map (add-tlv-map)")
        }
        guard mapping.length <= TunnelMetadataField.longestValue else {
            throw FlowSyntaxError(
                text, "\(name) has \(mapping.length) bytes: rules can name the values of options of at most 16")
        }
        return .tunMetadata(mapping.field)
    }

    /// The same field before any map placed it.
    var unplaced: MatchField {
        if case .tunMetadata(let field) = self { .tunMetadata(TunnelMetadataField(field.number)) } else { self }
    }

    /// For a `tun_metadata` field, the bit of `Slot.tunMetadataPresent` that stands for it; 0 for all others.
    public var presence: UInt64 {
        if case .tunMetadata(let field) = self { field.presence } else { 0 }
    }
}
