import Control
import Testing

@Suite struct MetricsTests {
    @Test func textFormat() {
        var metrics = MetricsText()
        metrics.family("weft_empty", .gauge, "Nothing to show.")
        metrics.family("weft_frames_total", .counter, "Frames\nwith a \\ in between.")
        metrics.sample([("port", "a\"b\\c\nd"), ("bridge", "é")], UInt64.max)
        metrics.sample([("port", "x")], 0)
        metrics.family("weft_up", .gauge, "Up.")
        metrics.sample(1)
        #expect(
            metrics.text == """
                # HELP weft_frames_total Frames\\nwith a \\\\ in between.
                # TYPE weft_frames_total counter
                weft_frames_total{port="a\\"b\\\\c\\nd",bridge="é"} 18446744073709551615
                weft_frames_total{port="x"} 0
                # HELP weft_up Up.
                # TYPE weft_up gauge
                weft_up 1

                """)
    }
}
