/// The elements of `list` without which `fails` no longer holds, or nearly: halves, quarters and so on are left out in turn.
func minimised<T>(_ list: [T], tries limit: Int = 600, _ fails: ([T]) -> Bool) -> [T] {
    var list = list
    var size = max(1, list.count / 2)
    var tries = 0
    while tries < limit {
        var at = 0
        var removed = false
        while at < list.count, tries < limit {
            var shorter = list
            shorter.removeSubrange(at..<min(at + size, list.count))
            tries += 1
            if fails(shorter) {
                list = shorter
                removed = true
            } else {
                at += size
            }
        }
        if size == 1, !removed { break }
        size = max(1, size / 2)
    }
    return list
}
