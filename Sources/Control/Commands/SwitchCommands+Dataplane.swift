import Actions
import Base
import Dataplane
import Flow
import FlowCache
import Pipeline
import Ports

extension SwitchCommands {
    func bindDataplaneCommands(_ registry: CommandRegistry) {
        registry.bind("dp/show") { _ throws(CommandError) in self.showCaches() }
        registry.bind("dp/dump-flows") { invocation throws(CommandError) in self.dumpMegaflows(invocation) }
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
                    "caches": .string(levels), "exact_hits": JSONValue(cache.exactHits),
                    "signature_hits": JSONValue(cache.signatureHits), "megaflow_hits": JSONValue(cache.megaflowHits),
                    "misses": JSONValue(cache.misses), "megaflows": JSONValue(cache.megaflows),
                    "masks": JSONValue(cache.masks), "tuple_probes": JSONValue(cache.tupleProbes),
                    "revalidated": JSONValue(cache.revalidated), "invalidated": JSONValue(cache.invalidated),
                    "expired": JSONValue(cache.expired), "evicted": JSONValue(cache.evicted),
                    "flow_limit": JSONValue(settings.flowLimit), "max_idle": JSONValue(settings.maximumIdle),
                ]
            })
    }

    private func dumpMegaflows(_ invocation: Invocation) -> CommandResult {
        let flows = device.megaflows().sorted { ($0.worker, $0.created) < ($1.worker, $1.created) }
        let isLong = invocation.has("-m")
        let now = now
        return CommandResult(
            text: { flows.map { self.describe($0, isLong, now) + "\n" }.joined() },
            json: { .array(flows.map { self.json($0, now) }) })
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

    // MARK: drops

    private func drops() -> CommandResult {
        let inside = device.workerDrops
        let balance = device.balance
        let ports = device.ports.values.compactMap {
            attached -> (bridge: String, port: PortState, rx: PortStatistics, tx: PortStatistics)? in
            guard let port = model.state.port(attached.index) else { return nil }
            let bridge = model.state.bridges[port.bridge]?.name ?? ""
            return (bridge, port, attached.port.received, attached.port.transmitted)
        }.sorted { ($0.bridge, $0.port.number) < ($1.bridge, $1.port.number) }
        return CommandResult(
            text: {
                var text = "received \(balance.received), injected \(balance.injected), copies \(balance.copies)"
                text += ", sent \(balance.sent), dropped \(balance.dropped), held \(balance.held)\n"
                text += Self.lines(inside, "  ")
                for (bridge, port, rx, tx) in ports where rx.dropped + tx.dropped > 0 {
                    text += "bridge \(bridge) port \(port.name):\n"
                    text += Self.lines(rx.drops, "  rx ") + Self.lines(tx.drops, "  tx ")
                }
                return text
            },
            json: {
                [
                    "received": JSONValue(balance.received), "injected": JSONValue(balance.injected),
                    "copies": JSONValue(balance.copies), "sent": JSONValue(balance.sent),
                    "dropped": JSONValue(balance.dropped), "held": JSONValue(balance.held),
                    "drops": JSONValue(drops: inside),
                    "ports": .array(
                        ports.map {
                            [
                                "bridge": .string($0.bridge), "name": .string($0.port.name),
                                "rx": JSONValue(drops: $0.rx.drops), "tx": JSONValue(drops: $0.tx.drops),
                            ]
                        }),
                ]
            })
    }

    private static func lines(_ drops: [DropReason: UInt64], _ prefix: String) -> String {
        drops.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\(prefix)\($0.key.name): \($0.value)\n" }.joined()
    }

    static func decimal(_ value: Double, _ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        guard value.isFinite, abs(value) < 1e15 else { return "0" }
        return "\((value * scale).rounded() / scale)"
    }
}
