/// How workers and clients protect what they say to gateways.
public enum LinkSecurity: Sendable {
  /// No keys, and loopback addresses only.
  case open
  /// No keys, to any address: whoever can reach the network can read and forge messages.
  case insecure
  /// CURVE: our own pair, which the gateway's allow-list knows, and the gateway's public key.
  case curve(KeyPair, gateway: CurvePublicKey)

  var dialer: DialerSecurity {
    switch self {
    case .open: .open(allowPublic: false)
    case .insecure: .open(allowPublic: true)
    case .curve(let keys, let gateway): .curve(keys, server: gateway)
    }
  }
}
