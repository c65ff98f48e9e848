import Flow
import Pipeline
import Shaping

extension SwitchCommands {
    /// What meters saw and what their bands dropped.
    func writeMeters(_ metrics: inout MetricsText) {
        let reports = configured.bridges.map(\.name).sorted().flatMap { bridge in
            ((try? model.meterStatistics(.all, of: bridge)) ?? []).map { (labels: Self.labels(bridge, $0), report: $0) }
        }
        func write(
            _ name: String, _ kind: MetricsText.Kind, _ help: String, _ value: (SwitchModel.MeterReport) -> UInt64
        ) {
            metrics.family("weft_meter_\(name)", kind, help)
            for (labels, report) in reports { metrics.sample(labels, value(report)) }
        }
        write("flows", .gauge, "Flows with an instruction that names the meter.") { UInt64($0.flows) }
        write("packets_total", .counter, "Frames that came to the meter.") { $0.seen.packets }
        write("bytes_total", .counter, "Bytes of frames that came to the meter.") { $0.seen.bytes }
        func writeBands(_ what: String, _ help: String, _ value: (Int, SwitchModel.MeterReport) -> UInt64) {
            metrics.family("weft_meter_band_\(what)_total", .counter, help)
            for (labels, report) in reports {
                for band in report.seen.bands.indices {
                    metrics.sample(labels + [("band", String(band))], value(band, report))
                }
            }
        }
        writeBands("packets", "Frames that exceeded the band and were dropped.") { $1.seen.bands[$0].packets }
        writeBands("bytes", "Bytes of frames that exceeded the band.") { $1.seen.bands[$0].bytes }
    }

    private static func labels(_ bridge: String, _ report: SwitchModel.MeterReport) -> [(String, String)] {
        [("bridge", bridge), ("meter", String(MeterPrinter().text(report.spec.id).dropFirst("meter=".count)))]
    }
}
