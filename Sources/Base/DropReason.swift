/// Why a frame went no further. Every frame that is received is sent, consumed or dropped with one of these,
/// so `received = sent + consumed + Σ drops` holds at any quiet moment.
///
/// The raw value indexes counter arrays; the text is what `drops`, `trace`, `weft-replay --json` and the
/// metrics show. New reasons go to the end.
public enum DropReason: UInt8, CaseIterable, Sendable {
    // The rules said so.
    case ruleDrop
    case tableMiss
    case noOutput
    case inputPortIsOutputPort
    case controllerAction
    case actionSetWithoutOutput
    // Limits of the pipeline (ofproto-dpif-xlate has the same).
    case resubmitDepth
    case resubmitCount
    case stackTooDeep
    case mplsDepth
    case vlanDepth
    case ttlExpired
    case groupWithoutLiveBucket
    // The frame itself.
    case frameTooShort
    case frameTooLong
    case malformedRewrite
    case fragmentPolicy
    case checksumOffloadImpossible
    // Switching (`normal`).
    case vlanNotAllowed
    case reservedAddress
    case bridgeLoop
    case portReceiveDisabled
    case portForwardDisabled
    case protectedPort
    case mirrorOutputPort
    case macMoveTooOften
    // Ports and buffers.
    case portDown
    case transmitQueueFull
    case transmitError
    case exceedsMTU
    case noBuffer
    case unknownPort
    // The dataplane.
    case translationFailed
    case meterExceeded
    case faultInjected
    // Fragments on their way through connection tracking.
    case fragmentMalformed
    case fragmentTooLong
    case fragmentExpired
    // Recirculation and connection tracking.
    case recirculationDepth
    case recirculationsFull
    case frozenStateGone
    // Answers of the switch's own.
    case unanswerable
    case rejectRateLimited
    // Load balancing.
    case noBackend
    case serviceUntracked
    // More of fragments.
    case fragmentOverlap

    @inlinable public static var count: Int { 64 }
}

extension DropReason {
    /// As users see it: `transmit_queue_full`.
    public var name: String { Self.names[Int(rawValue)] }

    private static let names: [String] = allCases.map { reason in
        var name = ""
        var previous: Character = "_"
        let text = Array("\(reason)")
        for (i, letter) in text.enumerated() {
            // A new word begins at a capital, but not inside a run of them (`exceedsMTU`).
            let next = i + 1 < text.count ? text[i + 1] : "A"
            if letter.isUppercase, previous.isLowercase || (previous.isUppercase && next.isLowercase) { name += "_" }
            name += letter.lowercased()
            previous = letter
        }
        return name
    }
}
