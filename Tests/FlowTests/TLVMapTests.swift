import Flow
import Testing

@Suite struct TLVMapTests {
    static func map(_ text: String) throws -> TLVMap {
        var map = TLVMap()
        for request in try TLVMapParser().parse(text) { try map.add(request) }
        return map
    }

    static func context(_ text: String) throws -> FlowContext {
        var context = FlowContext()
        context.tlvMap = try map(text)
        return context
    }

    static func error(_ text: String, in map: TLVMap = TLVMap()) throws -> TLVMapError.Kind? {
        var map = map
        for request in try TLVMapParser().parse(text) {
            do throws(TLVMapError) { try map.add(request) } catch { return error.kind }
        }
        return nil
    }

    @Test func readAndShown() throws {
        let text = "{class=0x102,type=0x80,len=4}->tun_metadata0, {class=0xffff,type=0,len=16}->tun_metadata5"
        let map = try Self.map(text)
        #expect(
            map.mappings.map(\.text) == [
                "{class=0x102,type=0x80,len=4}->tun_metadata0", "{class=0xffff,type=0,len=16}->tun_metadata5",
            ])
        #expect(
            TLVMapPrinter().lines(map) == [
                " max option space=256 max fields=64", " allocated option space=20", "", " mapping table:",
                "  class  type  length  match field", " ------  ----  ------  --------------",
                "  0x102  0x80       4  tun_metadata0", " 0xffff     0      16  tun_metadata5",
            ])
        #expect(map.mapping(optionClass: 0xffff, optionType: 0)?.field.number == 5)
        #expect(map.mapping(optionClass: 0xffff, optionType: 1) == nil)
    }

    @Test(arguments: [
        ("{class=0x103,type=0x80,len=3}->tun_metadata1", TLVMapError.Kind.badLength),
        ("{class=0x103,type=0x80,len=0}->tun_metadata1", .badLength),
        ("{class=0x103,type=0x80,len=128}->tun_metadata1", .badLength),
        ("{class=0x103,type=0x80,len=4}->tun_metadata64", .badField),
        ("{class=0x102,type=0x80,len=4}->tun_metadata1", .duplicate),
        ("{class=0x103,type=0x80,len=4}->tun_metadata0", .alreadyMapped),
        (
            "{class=0x103,type=0,len=124}->tun_metadata1,{class=0x103,type=1,len=124}->tun_metadata2,"
                + "{class=0x103,type=2,len=8}->tun_metadata3", .full
        ),
    ])
    func refused(_ text: String, _ kind: TLVMapError.Kind) throws {
        #expect(try Self.error(text, in: Self.map("{class=0x102,type=0x80,len=4}->tun_metadata0")) == kind)
    }

    @Test(arguments: [
        ("x", 1), ("{class=0x10300,type=0x80,len=4}->tun_metadata6", 8), ("{class=1,type=2,len=4}", 22),
        ("{class=1,type=2,len=4}->tun_metadata1,", 39), ("{class=1,type=2,len=4}->tun_metadata1 x", 39),
    ])
    func malformed(_ text: String, _ column: Int) {
        do throws(FlowSyntaxError) {
            _ = try TLVMapParser().parse(text)
            Issue.record("\(text) was read")
        } catch { #expect(error.column == column) }
    }

    /// Every truncation and every byte of something else: errors, never a trap.
    @Test func hostileText() {
        let text = Array("{class=0x102,type=0x80,len=4}->tun_metadata0,{class=1,type=1,len=8}->tun_metadata63".utf8)
        for end in 0...text.count {
            _ = try? TLVMapParser().parse(String(decoding: text[..<end], as: UTF8.self))
            guard end < text.count else { continue }
            for byte in [UInt8(0), 0x20, 0x2c, 0x7d, 0xff] {
                var changed = text
                changed[end] = byte
                _ = try? Self.error(String(decoding: changed, as: UTF8.self))
            }
        }
    }

    /// Whatever comes and goes: no two fields share a byte, and a field that is read back is what was written.
    @Test func placesAreApart() throws {
        var random = SeededGenerator(seed: 1)
        var map = TLVMap()
        for round in 0..<2000 {
            let number = Int.random(in: 0..<64, using: &random)
            if map[UInt8(number)] != nil {
                map.remove(UInt8(number))
            } else {
                let length = 4 * Int.random(in: 1...5, using: &random)
                try? map.add(
                    TLVMapRequest(optionClass: UInt16(round), optionType: 1, length: length, number: number))
            }
            var key = FlowKey()
            var values: [(MatchField, UInt128)] = []
            for mapping in map.mappings where mapping.length <= TunnelMetadataField.longestValue {
                let field = MatchField.tunMetadata(mapping.field)
                let value = UInt128.random(in: 0...UInt128.max, using: &random) & (field.layout?.wireMask ?? 0)
                #expect(field.layout?.byteCount == mapping.length)
                key.set(field, value)
                values.append((field, value))
            }
            for (field, value) in values { #expect(key.value(of: field) == value) }
            #expect(map.mappings.reduce(0) { $0 + $1.length } == map.allocated)
        }
    }

    @Test func flowsNameMappedFields() throws {
        let context = try Self.context(
            "{class=0x102,type=0x80,len=4}->tun_metadata0,{class=0xffff,type=0,len=12}->tun_metadata5,"
                + "{class=0xffff,type=1,len=32}->tun_metadata6")
        let texts = [
            "tun_metadata0=0x5/0x7,tun_metadata5 actions=set_field:0x6->tun_metadata0,"
                + "move:NXM_NX_TUN_METADATA5[32..63]->NXM_NX_REG0[],delete_field:tun_metadata5,output:2",
            "tun_metadata5=0x123456789abcdef012345678 actions=move:NXM_NX_REG14[0..14]->NXM_NX_TUN_METADATA0[16..30]",
            "tun_metadata0=0 actions=push:NXM_NX_TUN_METADATA0[],pop:NXM_NX_TUN_METADATA5[0..31]",
        ]
        for text in texts {
            let flow = try FlowParser(context).parse(text)
            #expect(FlowPrinter(context).text(flow) == text)
            #expect(flow.match.mask[.tunMetadataPresent] == flow.match.key[.tunMetadataPresent])
        }
        let first = try FlowParser(context).parse(texts[0])
        #expect(first.match.mask[.tunMetadataPresent] == 0x21)
        #expect(first.actions.tunnelOptions == 0x21)
        for text in [
            "tun_metadata1=5,actions=drop", "actions=set_field:1->tun_metadata1", "tun_metadata6=5,actions=drop",
        ] {
            #expect(throws: FlowSyntaxError.self) { try FlowParser(context).parse(text) }
        }
        // Without a map no field has a place.
        #expect(throws: FlowSyntaxError.self) { try FlowParser().parse("tun_metadata0=5,actions=drop") }
    }
}
