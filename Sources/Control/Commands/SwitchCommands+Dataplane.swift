import Actions
import Base
import Conntrack
import Dataplane
import Flow
import FlowCache
import Pipeline
import Ports

extension SwitchCommands {
    func bindDataplaneCommands(_ registry: CommandRegistry) {
        registry.bind("dp/show") { _ throws(CommandError) in self.showCaches() }
        registry.bind("dp/dump-flows") { invocation throws(CommandError) in self.dumpMegaflows(invocation) }
        registry.bind("dpif/dump-flows") { invocation throws(CommandError) in
            self.dumpMegaflows(invocation, bridge: try self.configured.state(invocation.arguments[0]).number)
        }
        registry.bind("dpif/show") { _ throws(CommandError) in self.showDatapath() }
        registry.bind("dp/flush") { _ throws(CommandError) in
            self.device.flushCaches()
            return .done
        }
        registry.bind("drops") { _ throws(CommandError) in self.drops() }
        registry.bind("metrics") { _ throws(CommandError) in
            self.device.settle()
            return CommandResult(self.metrics())
        }
        registry.bind("time/warp") { invocation throws(CommandError) in
            let text = invocation.arguments[0]
            guard let milliseconds = UInt64(text), milliseconds <= 1 << 40 else {
                throw .refused("time/warp: expected a number of milliseconds, found \"\(text.echoed)\"")
            }
            try refusing { () throws(SwitchError) in try self.device.warp(milliseconds) }
            return CommandResult("warped")
        }
    }

    // MARK: Caches

    /// The form of ovs-appctl's `dpif/show`: OpenFlow number, number in the datapath, type.
    private func showDatapath() -> CommandResult {
        let cache = device.cacheSummary
        let hits = cache.sessionHits &+ cache.exactHits &+ cache.signatureHits &+ cache.megaflowHits
        var text = "weft@weft: hit:\(hits) missed:\(cache.misses)\n"
        for bridge in model.state.bridges.compactMap({ $0 }).sorted(by: { $0.name < $1.name }) {
            text += "  \(bridge.name):\n"
            for port in ports(of: bridge) {
                text += "    \(port.name) \(port.number.openFlow10)/\(port.index.rawValue): (\(typeName(port)))\n"
            }
        }
        return CommandResult(text)
    }

    private func showCaches() -> CommandResult {
        let cache = device.cacheSummary
        let settings = configured.settings
        let levels = device.options.cache.levels.rawValue
        let all = cache.exactHits &+ cache.signatureHits &+ cache.megaflowHits &+ cache.misses
        func share(_ count: UInt64) -> String {
            all == 0 ? "" : " (\(Self.decimal(Double(count) * 100 / Double(all), 1)) %)"
        }
        return CommandResult(
            text: {
                """
                caches: \(levels)
                session hits: \(cache.sessionHits), refused: \(cache.sessionsRefused)
                sessions: \(cache.sessions), paths: \(cache.sessionPaths), made: \(cache.sessionsMade), \
                unfit: \(cache.sessionsUnfit), evicted: \(cache.sessionsEvicted)
                lookups: \(all)
                  exact hits: \(cache.exactHits)\(share(cache.exactHits))
                  signature hits: \(cache.signatureHits)\(share(cache.signatureHits))
                  megaflow hits: \(cache.megaflowHits)\(share(cache.megaflowHits))
                  misses: \(cache.misses)\(share(cache.misses))
                megaflows: \(cache.megaflows), limit \(settings.flowLimit) a worker
                masks: \(cache.masks), looked at \(cache.tupleProbes) times
                revalidated: \(cache.revalidated), invalidated: \(cache.invalidated), \
                expired: \(cache.expired), evicted: \(cache.evicted)

                """
            },
            json: {
                [
                    "caches": .string(levels), "session_hits": JSONValue(cache.sessionHits),
                    "sessions_refused": JSONValue(cache.sessionsRefused), "sessions": JSONValue(cache.sessions),
                    "session_paths": JSONValue(cache.sessionPaths), "sessions_made": JSONValue(cache.sessionsMade),
                    "sessions_unfit": JSONValue(cache.sessionsUnfit),
                    "sessions_evicted": JSONValue(cache.sessionsEvicted), "exact_hits": JSONValue(cache.exactHits),
                    "signature_hits": JSONValue(cache.signatureHits), "megaflow_hits": JSONValue(cache.megaflowHits),
                    "misses": JSONValue(cache.misses), "megaflows": JSONValue(cache.megaflows),
                    "masks": JSONValue(cache.masks), "tuple_probes": JSONValue(cache.tupleProbes),
                    "revalidated": JSONValue(cache.revalidated), "invalidated": JSONValue(cache.invalidated),
                    "expired": JSONValue(cache.expired), "evicted": JSONValue(cache.evicted),
                    "flow_limit": JSONValue(settings.flowLimit), "max_idle": JSONValue(settings.maximumIdle),
                ]
            })
    }

    /// All, or those of packets that came in through a port of one bridge.
    private func dumpMegaflows(_ invocation: Invocation, bridge: Int? = nil) -> CommandResult {
        let state = model.state
        let flows = device.megaflows().filter { flow in
            bridge == nil || state.port(PortIndex(UInt32(truncatingIfNeeded: flow.key[.inPort])))?.bridge == bridge
        }.sorted { ($0.worker, $0.created) < ($1.worker, $1.created) }
        let isLong = invocation.has("-m")
        let paths = (isLong ? device.sessionPaths() : []).filter { path in
            bridge == nil || state.port(PortIndex(UInt32(truncatingIfNeeded: path.key[.inPort])))?.bridge == bridge
        }
        let now = now
        return CommandResult(
            text: {
                flows.map { self.describe($0, isLong, now) + "\n" }.joined()
                    + paths.map { self.describe($0, now) + "\n" }.joined()
            },
            json: { .array(flows.map { self.json($0, now) } + paths.map { self.json($0, now) }) })
    }

    /// Ports inside the datapath are numbered over all bridges; people get their names.
    private var datapathPrinter: FlowPrinter {
        var context = FlowContext()
        let state = model.state
        context.portName = { state.port(PortIndex($0.rawValue))?.name }
        return FlowPrinter(context)
    }

    private func used(_ flow: MegaflowDescription, _ now: UInt64) -> String {
        flow.used == 0 ? "never" : DurationText.text(milliseconds: now - min(now, flow.used))
    }

    private func describe(_ flow: MegaflowDescription, _ isLong: Bool, _ now: UInt64) -> String {
        var text = datapathPrinter.megaflow(flow.key, flow.mask)
        text += ", packets:\(flow.packets), bytes:\(flow.bytes), used:\(used(flow, now))"
        text += ", actions:\(actions(flow))"
        if isLong {
            text += ", worker:\(flow.worker), age:\(DurationText.text(milliseconds: now - min(now, flow.created)))"
            if !flow.isCurrent { text += ", to be revalidated" }
        }
        return text
    }

    /// A way that sessions take: what their packets have in common, the passages of connection tracking, and what is done.
    private func describe(_ path: SessionPathDescription, _ now: UInt64) -> String {
        let used = path.used == 0 ? "never" : DurationText.text(milliseconds: now - min(now, path.used))
        var text = "session," + datapathPrinter.megaflow(path.key, path.mask)
        text += ", \(passages(path)), sessions:\(path.sessions), megaflows:\(path.stages)"
        text += ", packets:\(path.packets), bytes:\(path.bytes), used:\(used), actions:\(actions(path))"
        text += ", worker:\(path.worker)"
        return path.isCurrent ? text : text + ", to be revalidated"
    }

    private func passages(_ path: SessionPathDescription) -> String {
        path.tracks.map { "ct(zone=\($0.zone),state=\(TrackState.text(UInt64($0.state))))" }.joined(separator: ",")
    }

    private func actions(_ path: SessionPathDescription) -> String {
        if let reason = path.dropReason { return "drop (\(reason.name))" }
        let state = model.state
        return ProgramFormatter.format(path.program) { state.port($0)?.name ?? "\($0.rawValue)" }
    }

    private func json(_ path: SessionPathDescription, _ now: UInt64) -> JSONValue {
        [
            "session": .string(datapathPrinter.megaflow(path.key, path.mask)), "passages": .string(passages(path)),
            "sessions": JSONValue(path.sessions), "packets": JSONValue(path.packets), "bytes": JSONValue(path.bytes),
            "actions": .string(actions(path)), "worker": JSONValue(path.worker),
        ]
    }

    private func actions(_ flow: MegaflowDescription) -> String {
        if let reason = flow.dropReason { return "drop (\(reason.name))" }
        let state = model.state
        return ProgramFormatter.format(flow.program) { state.port($0)?.name ?? "\($0.rawValue)" }
    }

    private func json(_ flow: MegaflowDescription, _ now: UInt64) -> JSONValue {
        [
            "flow": .string(datapathPrinter.megaflow(flow.key, flow.mask)), "packets": JSONValue(flow.packets),
            "bytes": JSONValue(flow.bytes), "used": .string(used(flow, now)), "actions": .string(actions(flow)),
            "worker": JSONValue(flow.worker),
        ]
    }

    static func decimal(_ value: Double, _ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        guard value.isFinite, abs(value) < 1e15 else { return "0" }
        return "\((value * scale).rounded() / scale)"
    }
}
