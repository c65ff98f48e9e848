/// A fixed set of words and what they stand for, looked up by the bytes of the text without making a `String`.
///
/// Open addressing over FNV-1a; at most a quarter full, so that a miss costs little more than the hash.
struct NameTable<Value: Sendable>: Sendable {
    private var slots: [Int32]
    private var bytes: [UInt8] = []
    private var bounds: [Int] = [0]
    private var values: [Value] = []
    private let foldsCase: Bool

    init(_ entries: [(String, Value)], foldsCase: Bool = false) {
        self.foldsCase = foldsCase
        var capacity = 16
        while capacity < entries.count * 4 { capacity *= 2 }
        slots = Array(repeating: -1, count: capacity)
        for (name, value) in entries {
            let word = Array(name.utf8).map { foldsCase ? NameTable.lower($0) : $0 }
            var at = word.withUnsafeBufferPointer { NameTable.hash(Text($0), false) } & (capacity - 1)
            while slots[at] >= 0 { at = (at + 1) & (capacity - 1) }
            slots[at] = Int32(values.count)
            bytes += word
            bounds.append(bytes.count)
            values.append(value)
        }
    }

    func find(_ text: Text) -> Value? {
        var at = NameTable.hash(text, foldsCase) & (slots.count - 1)
        while true {
            let index = Int(slots[at])
            if index < 0 { return nil }
            if matches(index, text) { return values[index] }
            at = (at + 1) & (slots.count - 1)
        }
    }

    private func matches(_ index: Int, _ text: Text) -> Bool {
        let start = bounds[index]
        guard bounds[index + 1] - start == text.count else { return false }
        for i in 0..<text.count {
            let byte = text[i]
            if bytes[start + i] != (foldsCase ? NameTable.lower(byte) : byte) { return false }
        }
        return true
    }

    private static func lower(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
    }

    private static func hash(_ text: Text, _ fold: Bool) -> Int {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for i in 0..<text.count {
            let byte = fold ? lower(text[i]) : text[i]
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        return Int(truncatingIfNeeded: (hash ^ hash &>> 32) & 0x7fff_ffff)
    }
}
