import Base

/// Reads groups in the syntax of ovs-ofctl(8), "Group Syntax".
public struct GroupParser {
    public var context: FlowContext

    public init(_ context: FlowContext = FlowContext()) { self.context = context }

    public func parse(_ group: String, as command: GroupSpec.Command = .add) throws(FlowSyntaxError) -> GroupSpec {
        try FlowParser.withText(group) { text throws(FlowSyntaxError) in
            var line = GroupLine(command, context)
            return try line.parse(text)
        }
    }

    /// Every group of a file, in order; comments and blank lines as in flow files. Lines may begin with `add`, `modify`,
    /// `add_or_mod`, `delete`, `insert_bucket` or `remove_bucket`.
    public func parseFile(_ file: String, as command: GroupSpec.Command = .add) throws(FlowSyntaxError) -> [GroupSpec] {
        var groups: [GroupSpec] = []
        try FlowParser.withBytes(file) { bytes throws(FlowSyntaxError) in
            try parseFile(bytes, as: command) { group, _ in groups.append(group) }
        }
        return groups
    }

    /// The same for a file in memory; `body` gets each group with the number of its line.
    public func parseFile(
        _ bytes: UnsafeBufferPointer<UInt8>, as command: GroupSpec.Command = .add, _ body: (GroupSpec, Int) -> Void
    ) throws(FlowSyntaxError) {
        try FlowParser.forEachLine(bytes) { (text, number) throws(FlowSyntaxError) in
            var rest = text
            let chosen = GroupParser.takeCommand(&rest) ?? command
            var line = GroupLine(chosen, context)
            body(try line.parse(rest), number)
        }
    }

    private static func takeCommand(_ line: inout Text) -> GroupSpec.Command? {
        var rest = line
        guard let word = rest.nextWord(separatedBy: ", \t\r") else { return nil }
        let words: [(StaticString, GroupSpec.Command)] = [
            ("add", .add), ("modify", .modify), ("add_or_mod", .addOrModify), ("delete", .delete),
            ("insert_bucket", .insertBuckets), ("remove_bucket", .removeBuckets),
        ]
        guard let known = words.first(where: { word.equals($0.0) }) else { return nil }
        line = rest
        return known.1
    }
}

/// One group while it is being read.
private struct GroupLine {
    private let command: GroupSpec.Command
    private let context: FlowContext
    private var group = GroupSpec()
    private var idIsSet = false
    private var positionIsSet = false
    private var method: Text?
    private var basis: (value: UInt64, at: Text)?
    private var fields: (list: [GroupSpec.HashedField], at: Text)?

    init(_ command: GroupSpec.Command, _ context: FlowContext) {
        self.command = command
        self.context = context
        group.command = command
    }

    private var takesType: Bool { command == .add || command == .modify || command == .addOrModify }
    private var takesBuckets: Bool { takesType || command == .insertBuckets }
    private var takesPosition: Bool { command == .insertBuckets || command == .removeBuckets }

    mutating func parse(_ text: Text) throws(FlowSyntaxError) -> GroupSpec {
        if command == .delete, text.trimmed().isEmpty { return group }
        let bucketsAt = text.firstIndex(of: "bucket=") ?? text.count
        var rest = text.prefix(bucketsAt)
        while let item = rest.nextKeyValue() { try apply(item) }
        if bucketsAt < text.count, !takesBuckets {
            throw FlowSyntaxError(text.dropFirst(bucketsAt), "bucket is not needed here")
        }
        try finishOptions(text)
        try parseBuckets(text.dropFirst(bucketsAt))
        return group
    }

    private mutating func apply(_ item: KeyValue) throws(FlowSyntaxError) {
        let value = item.value
        if item.key.equals("command_bucket_id") {
            try setPosition(item)
        } else if item.key.equals("group_id") {
            idIsSet = true
            if value.equals("all") {
                guard command == .delete else { throw FlowSyntaxError(value, "group_id=all is for deletion only") }
                group.id = nil
            } else {
                group.id = UInt32(try value.number("group id", maximum: UInt128(GroupSpec.idLimit - 1)))
            }
        } else if item.key.equals("type"), takesType {
            group.kind = try parseKind(value)
        } else if item.key.equals("selection_method"), takesType {
            guard value.equals("hash") || value.equals("dp_hash") else {
                throw FlowSyntaxError(value, "unknown selection method \(value.quoted): expected hash or dp_hash")
            }
            method = value
            try needsExtension(item)
        } else if item.key.equals("selection_method_param"), takesType {
            basis = (try value.uint64("selection_method_param"), item.key)
            try needsExtension(item)
        } else if item.key.equals("fields"), takesType {
            fields = (try parseFields(value), item.key)
            try needsExtension(item)
        } else {
            throw FlowSyntaxError(
                item.key,
                "unknown keyword \(item.key.echoed): expected group_id, type, selection_method, fields or bucket")
        }
    }

    /// OpenFlow 1.1 to 1.4 cannot carry these.
    private func needsExtension(_ item: KeyValue) throws(FlowSyntaxError) {
        if context.version > .openFlow10, context.version < .openFlow15 {
            throw FlowSyntaxError(item.key, "\(item.key.echoed) needs OpenFlow15")
        }
    }

    private func parseKind(_ text: Text) throws(FlowSyntaxError) -> GroupSpec.Kind {
        if text.equals("all") { return .all }
        if text.equals("select") { return .select }
        if text.equals("indirect") { return .indirect }
        if text.equals("ff") || text.equals("fast_failover") { return .fastFailover }
        throw FlowSyntaxError(
            text, "invalid group type \(text.quoted): expected all, select, indirect or fast_failover")
    }

    private mutating func setPosition(_ item: KeyValue) throws(FlowSyntaxError) {
        guard takesPosition else { throw FlowSyntaxError(item.key, "command bucket id is not needed here") }
        positionIsSet = true
        if item.value.equals("all") {
            guard command == .removeBuckets else {
                throw FlowSyntaxError(item.value, "command_bucket_id=all is not permitted here")
            }
            group.position = .all
        } else if item.value.equals("first") {
            group.position = .first
        } else if item.value.equals("last") {
            group.position = .last
        } else {
            group.position = .bucket(try bucketID(item.value))
        }
    }

    private func bucketID(_ text: Text) throws(FlowSyntaxError) -> UInt32 {
        UInt32(try text.number("bucket id", maximum: 0xffff_ff00))
    }

    private func parseFields(_ text: Text) throws(FlowSyntaxError) -> [GroupSpec.HashedField] {
        var rest = text
        var list: [GroupSpec.HashedField] = []
        while let item = rest.nextKeyValue() {
            guard let field = try MatchField.byName.find(item.key)?.placed(by: context, at: item.key),
                let layout = field.layout
            else { throw FlowSyntaxError(item.key, "unknown field \(item.key.quoted)") }
            if list.contains(where: { $0.field == field }) { throw FlowSyntaxError(item.key, "duplicate field") }
            var mask = layout.wireMask
            if !item.value.isEmpty {
                mask = try field.parseExact(item.value, context)
                if mask == 0 { throw FlowSyntaxError(item.value, "the mask of \(field.name) must not be zero") }
                if mask != layout.wireMask, !field.isMaskable {
                    throw FlowSyntaxError(item.value, "\(field.name) takes no mask")
                }
            }
            list.append(GroupSpec.HashedField(field: field, mask: mask))
        }
        let order = MatchField.all
        func rank(_ field: MatchField) -> Int { order.firstIndex(of: field.unplaced) ?? 0 }
        return list.sorted { rank($0.field) < rank($1.field) }
    }

    private mutating func finishOptions(_ text: Text) throws(FlowSyntaxError) {
        guard idIsSet else { throw FlowSyntaxError(text, "must specify a group_id") }
        if takesType, group.kind == nil { throw FlowSyntaxError(text, "must specify a type") }
        if let fields, !(method?.equals("hash") ?? false) {
            throw FlowSyntaxError(fields.at, "fields may only be specified with \"selection_method=hash\"")
        }
        if let basis, method == nil, basis.value != 0 {
            throw FlowSyntaxError(basis.at, "selection_method_param is only allowed with \"selection_method\"")
        }
        if command == .insertBuckets, !positionIsSet {
            throw FlowSyntaxError(
                text, "must specify a command bucket id: expected command_bucket_id=first, last or a number")
        }
        if let method {
            let value = basis?.value ?? 0
            group.selection =
                method.equals("hash") ? .hash(basis: value, fields?.list ?? []) : .datapathHash(basis: value)
        }
    }

    private mutating func parseBuckets(_ text: Text) throws(FlowSyntaxError) {
        var rest = text
        while rest.hasPrefix("bucket=") {
            rest = rest.dropFirst(7)
            let end = rest.firstIndex(of: "bucket=") ?? rest.count
            let bucket = try parseBucket(rest.prefix(end))
            if command != .insertBuckets, group.kind != .select, let weight = bucket.weight, weight != 0 {
                throw FlowSyntaxError(rest, "only select groups can have bucket weights")
            }
            group.buckets.append(bucket)
            rest = rest.dropFirst(end)
        }
        if group.kind == .indirect, group.buckets.count != 1 {
            throw FlowSyntaxError(text, "an indirect group has exactly one bucket, not \(group.buckets.count)")
        }
        let ids = group.buckets.compactMap(\.id)
        if Set(ids).count != ids.count { throw FlowSyntaxError(text, "two buckets have the same bucket_id") }
    }

    private func parseBucket(_ text: Text) throws(FlowSyntaxError) -> BucketSpec {
        var rest = text
        var bucket = BucketSpec()
        var parser = ActionParser(context)
        var hasActions = false
        while let item = rest.nextKeyValue() {
            if item.key.equalsFolded("weight") {
                bucket.weight = try item.value.uint16("weight")
            } else if item.key.equalsFolded("watch_port") {
                let port = try Ports.parse(item.value, context)
                guard port < .max || port == .none || port == .controller else {
                    throw FlowSyntaxError(item.value, "\(item.value.echoed): invalid watch_port")
                }
                bucket.watchPort = port == .none ? nil : port
            } else if item.key.equalsFolded("watch_group") {
                bucket.watchGroup = UInt32(
                    try item.value.number("watch_group", maximum: UInt128(GroupSpec.idLimit - 1)))
            } else if item.key.equalsFolded("bucket_id") {
                bucket.id = try bucketID(item.value)
                try needsExtension(item)
            } else {
                hasActions = true
                let isNamed = item.key.equalsFolded("actions") || item.key.equalsFolded("action")
                try parser.parseActions(isNamed ? item.value : item.whole)
            }
        }
        guard hasActions else { throw FlowSyntaxError(text, "bucket must specify actions") }
        try checkLiveness(bucket, text)
        var checker = ActionChecker(withoutMatch: context)
        bucket.actions = try checker.check(parser.actions, at: parser.deepPositions)
        return bucket
    }

    private func checkLiveness(_ bucket: BucketSpec, _ text: Text) throws(FlowSyntaxError) {
        let isWatched = bucket.watchPort != nil || bucket.watchGroup != nil
        switch group.kind {
        case .fastFailover:
            if !isWatched { throw FlowSyntaxError(text, "fast failover bucket requires watch_port or watch_group") }
        case .all, .indirect:
            if isWatched { throw FlowSyntaxError(text, "this type of group cannot watch ports or groups") }
        case .select, nil: return
        }
    }
}
