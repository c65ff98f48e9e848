import Synchronization

/// What health checks have found, on its way from their thread to the control thread.
final class HealthInbox: Sendable {
    private let content = Mutex<[HealthChange]>([])
    private let wake = Mutex<(@Sendable () -> Void)?>(nil)

    /// Called, on the thread of the checks, when something lies here and nothing did before.
    func onFirst(_ body: @escaping @Sendable () -> Void) { wake.withLock { $0 = body } }

    func post(_ change: HealthChange) {
        let isFirst = content.withLock { content in
            content.append(change)
            return content.count == 1
        }
        guard isFirst else { return }
        wake.withLock { $0 }?()
    }

    /// All that lies here, oldest first.
    func take() -> [HealthChange] {
        content.withLock { content in
            defer { content = [] }
            return content
        }
    }
}
