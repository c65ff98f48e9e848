import Base

/// Writes groups as `dump-groups` does.
public struct GroupPrinter {
    public var context: FlowContext

    public init(_ context: FlowContext = FlowContext()) { self.context = context }

    /// One group, in the syntax that `add-group` reads.
    public func text(_ group: GroupSpec) -> String {
        var parts = ["group_id=\(group.id.map(String.init) ?? "all")"]
        switch group.kind {
        case .all: parts.append("type=all")
        case .select: parts.append("type=select")
        case .indirect: parts.append("type=indirect")
        case .fastFailover: parts.append("type=ff")
        case nil: break
        }
        parts += selection(group.selection)
        parts += group.buckets.map { text($0, isSelect: group.kind == .select) }
        return parts.joined(separator: ",")
    }

    private func selection(_ selection: GroupSpec.Selection) -> [String] {
        func parameter(_ basis: UInt64) -> [String] { basis == 0 ? [] : ["selection_method_param=\(basis)"] }
        switch selection {
        case .unspecified: return []
        case .datapathHash(let basis): return ["selection_method=dp_hash"] + parameter(basis)
        case .hash(let basis, let fields):
            let names = fields.map { hashed in
                let isWhole = hashed.mask == hashed.field.layout?.wireMask
                let value = isWhole ? "" : "=" + hashed.field.text(hashed.mask, mask: ~0, FlowContext())
                return hashed.field.name + value
            }
            let list = names.joined(separator: ",")
            let shown = names.isEmpty ? [] : names.count == 1 ? ["fields=\(list)"] : ["fields(\(list))"]
            return ["selection_method=hash"] + parameter(basis) + shown
        }
    }

    private func text(_ bucket: BucketSpec, isSelect: Bool) -> String {
        var text = "bucket="
        let showsID = context.version == .openFlow10 || context.version >= .openFlow15
        if let id = bucket.id, showsID { text += "bucket_id:\(id)," }
        if let weight = bucket.weight, weight != (isSelect ? 1 : 0) { text += "weight:\(weight)," }
        if let port = bucket.watchPort { text += "watch_port:\(Ports.format(port, context))," }
        if let group = bucket.watchGroup { text += "watch_group:\(group)," }
        let actions = Action.encodedWithoutMatch(bucket.actions, context: context)
        return text + "actions=" + ActionPrinter(context: context).text(actions)
    }
}
