//! What can be wrong with a value by itself.

use super::say::{Cause, Hint, Kind, kinds};

kinds! {
/// With a value by itself: what stands at a key.
Value {
    Missing =>
        "is missing",
        "入力が必要です。";
    Empty =>
        "is empty",
        "空にはできません。入力してください。";
    Twice(text: String) =>
        "\"{text}\" is there twice",
        "「{text}」が二度書かれています。一つ消してください。";
    ControlCharacter =>
        "has a control character in it",
        "改行などの制御文字は使えません。消してください。";
    Characters(n: usize, most: usize) =>
        "has {n} characters; at most {most}",
        "{n}文字あります。{most}文字までにしてください。";
    LongText(text: String, n: usize, most: usize) =>
        "\"{text}\" has {n} characters; at most {most}",
        "「{text}」は{n}文字あります。{most}文字までにしてください。";
    OddText(text: String) =>
        "\"{text}\" has blanks around it or odd characters",
        "「{text}」の前後の空白や、使えない文字を消してください。";
    Unknown(text: String, hint: Hint) =>
        "\"{text}\" is not known{hint}",
        "「{text}」は選べません。{hint}";
    NoMode(text: String, names: String) =>
        "\"{text}\" is none of {names}",
        "「{text}」は選べません。次のどれかにしてください: {names}";
    NotBuiltIn(text: String) =>
        "\"{text}\" is not built in: build koebashi with --features {text}",
        "この声橋では「{text}」を使えません。消すか、--features {text} で作ったものを入れてください。";

    NotText(like: String, kind: Kind) =>
        "must be a string, like \"{like}\", not {kind}",
        "\"{like}\" のように、引用符で囲んで書いてください。今は{kind}です。";
    NotWhole(like: String, kind: Kind) =>
        "must be a whole number, like {like}, not {kind}",
        "{like} のように、整数で書いてください。今は{kind}です。";
    NotFlag(kind: Kind) =>
        "must be true or false, not {kind}",
        "true(はい)か false(いいえ)で書いてください。今は{kind}です。";
    NotList(kind: Kind) =>
        "must be a list, like [\"…\"], not {kind}",
        "[\"…\"] のように、一覧で書いてください。今は{kind}です。";
    NotTable(kind: Kind) =>
        "must be a table, not {kind}",
        "[ ] の見出しの下に項目を書いてください。今は{kind}です。";
    NotTables(key: String) =>
        "must be a list of tables: write [[{key}]] above each of its tables",
        "一つごとに [[{key}]] の見出しを付けて書いてください。";
    NotPairs =>
        "must be a list of pairs, like [[\"15m\", \"tone_15m\"]]",
        "残り時間と音声を組にして書いてください(例: 15m と tone_15m)。";
    NotPairsBut(kind: Kind) =>
        "must be a list of pairs, like [[\"15m\", \"tone_15m\"]], not {kind}",
        "残り時間と音声を組にして書いてください(例: 15m と tone_15m)。今は{kind}です。";
    NoSuchKey(hint: Hint) =>
        "no such key{hint}",
        "この名前の項目はありません。{hint}";

    TooSmall(n: String, least: String, most: String) =>
        "{n} is too small: {least} to {most}",
        "{n} は小さすぎます。{least}から{most}までにしてください。";
    TooLarge(n: String, least: String, most: String) =>
        "{n} is too large: {least} to {most}",
        "{n} は大きすぎます。{least}から{most}までにしてください。";
    OutOfBounds(n: String, least: String, most: String) =>
        "{n} is out of bounds: {least} to {most}",
        "{n} は使えません。{least}から{most}までにしてください。";
    TooMany(n: usize, most: usize) =>
        "{n} of them; at most {most}",
        "{n}件あります。{most}件までにしてください。";
    Elements(n: usize, most: usize) =>
        "{n} elements; at most {most}",
        "{n}個あります。{most}個までにしてください。";
    Windows(n: usize, most: usize) =>
        "{n} windows; at most {most}",
        "時間帯が{n}個あります。{most}個までにしてください。";
    Nodes(n: usize, most: usize) =>
        "{n} nodes; at most {most}",
        "案内が{n}個あります。{most}個までにしてください。";
    Tones(n: usize, most: usize) =>
        "{n} tones; at most {most}",
        "合図が{n}個あります。{most}個までにしてください。";
    Recipients(n: usize, most: usize) =>
        "{n} addresses; 1 to {most}",
        "宛先が{n}件です。1件から{most}件までにしてください。";
    Types(n: usize, least: usize, most: usize) =>
        "{n} types; {least} to {most}",
        "種別が{n}個です。{least}個から{most}個までにしてください。";
    Sockets =>
        "must name 1 to 16 sockets",
        "電話を待ち受ける場所は、1個から16個までにしてください。";

    NoDuration(text: String) =>
        "\"{text}\" is no duration: write a whole number with its unit (ms, s, m, h, d), \
         like \"20s\"",
        "「{text}」は時間の長さとして読めません。整数に単位(s 秒・m 分・h 時間・d 日・ms ミリ秒)\
         を付けてください(例: 20s、5m)。";
    EndlessDuration(text: String) =>
        "\"{text}\" is too long",
        "「{text}」は長すぎます。もっと短くしてください。";
    TooShort(text: String, least: String, most: String) =>
        "\"{text}\" is too short: \"{least}\" to \"{most}\"",
        "「{text}」は短すぎます。{least} から {most} までにしてください。";
    TooLong(text: String, least: String, most: String) =>
        "\"{text}\" is too long: \"{least}\" to \"{most}\"",
        "「{text}」は長すぎます。{least} から {most} までにしてください。";
    NoTimeOfDay(text: String) =>
        "\"{text}\" is no time of day: write it like \"18:00\"",
        "「{text}」は時刻として読めません。18:00 のように書いてください。";
    NoDate(text: String) =>
        "\"{text}\" is no date: write it like \"2026-12-26\"",
        "「{text}」は日付として読めません。2026-12-26 のように書いてください。";
    NoDayRange(text: String) =>
        "\"{text}\" is no range of days: write it like \"12-29..01-03\"",
        "「{text}」は期間として読めません。12-29..01-03(12月29日から1月3日まで)のように書いてください。";
    NoMoment(text: String) =>
        "\"{text}\" is no date with time: write it like \"2026-12-26T21:00\"",
        "「{text}」は日時として読めません。2026-12-26T21:00 のように書いてください。";
    NoSuchMoment(text: String, zone: String) =>
        "\"{text}\" does not exist in {zone}",
        "「{text}」は {zone} の時計にない時刻です(夏時間の切り替え)。別の時刻にしてください。";
    NoTimezone(text: String, hint: Hint) =>
        "\"{text}\" is no time zone{hint}",
        "「{text}」というタイムゾーンはありません。{hint}";

    NoId(text: String) =>
        "\"{text}\" is no id: 1 to 32 of a-z, 0-9, _ and -",
        "「{text}」は使えません。半角の英小文字・数字・_・- で、1文字から32文字にしてください。";
    NoPromptName(text: String) =>
        "\"{text}\" is no prompt's name: 1 to 64 letters, digits, _ and -",
        "「{text}」は音声の名前にできません。半角の英数字・_・- で、1文字から64文字にしてください。";
    NoNumber(text: String) =>
        "\"{text}\" is no number: write the digits that callers dial, like \"0570022282\"",
        "「{text}」は電話番号として読めません。かける番号を 0570022282 のように数字で書いてください。";
    NoExtension(text: String) =>
        "\"{text}\" is no extension: 2 to 8 digits",
        "「{text}」は内線にできません。2桁から8桁の半角の数字にしてください。";
    NoCode(text: String) =>
        "\"{text}\" is no code: 2 to 8 of 0-9, * and #",
        "「{text}」は特番にできません。0~9・*・# の2文字から8文字にしてください。";
    NoPhoneKey =>
        "is no key of a telephone: 0-9, * or #",
        "電話のキーではありません。0~9・*・# のどれか一つにしてください。";
    NoPrefix(text: String) =>
        "\"{text}\" is no prefix: up to 8 digits",
        "「{text}」は番号の前に付けられません。8桁までの数字にしてください。";

    NoIp(text: String) =>
        "\"{text}\" is no IP address",
        "「{text}」はIPアドレスとして読めません。192.0.2.1 のように書いてください。";
    NotToCall(text: String) =>
        "\"{text}\" is not an address to call",
        "「{text}」は接続先にできません。この機器の実際のIPアドレスを書いてください。";
    NoNetwork(text: String) =>
        "\"{text}\" is neither an address nor a network, like \"192.0.2.0/24\"",
        "「{text}」は読めません。IPアドレスか、192.0.2.0/24 のようなネットワークを書いてください。";
    NoSocket(text: String) =>
        "\"{text}\" is no socket address: write address and port, like \"127.0.0.1:8080\" \
         or \"[::1]:8080\"",
        "「{text}」は読めません。127.0.0.1:8080 のように、アドレスとポートを書いてください。";
    NamesNoTransport(text: String) =>
        "\"{text}\" names no transport: write it like \"udp://127.0.0.1:5060\"",
        "「{text}」に通信方式がありません。udp://127.0.0.1:5060 のように書いてください。";
    NotServed(scheme: String) =>
        "{scheme}:// is not served; there is udp, tcp, tls",
        "{scheme}:// は使えません。udp・tcp・tls のどれかにしてください。";
    NoTransport(text: String, hint: Hint) =>
        "\"{text}\" is no transport{hint}",
        "「{text}」という通信方式はありません。{hint}";
    NoAddressWithPort(text: String) =>
        "\"{text}\" is not an address with its port: write it like \"udp://127.0.0.1:5060\"",
        "「{text}」はアドレスとポートとして読めません。udp://127.0.0.1:5060 のように書いてください。";
    PortZero(text: String) =>
        "\"{text}\": port 0 can't be called",
        "「{text}」のポート0は使えません。5060 などにしてください。";
    NoPorts(text: String) =>
        "\"{text}\" is no range of ports: write it like \"30000-39998\"",
        "「{text}」はポートの範囲として読めません。30000-39998 のように書いてください。";
    OddPort(port: u16) =>
        "{port} is odd: RTP takes the even port, RTCP the next",
        "{port} は奇数です。偶数のポートにしてください(次の奇数のポートも使います)。";
    LowPort(port: u16) =>
        "{port} is below 1024",
        "{port} は使えません。1024 以上のポートにしてください。";
    PortsTurned(last: u16, first: u16) =>
        "{last} is not above {first}",
        "終わりの {last} を、始まりの {first} より大きくしてください。";
    NoDomain(text: String) =>
        "\"{text}\" is no domain: a name, without port",
        "「{text}」はドメインにできません。ポートを付けずに名前だけを書いてください。";
    NoHost(text: String) =>
        "\"{text}\" is no host",
        "「{text}」はホスト名として読めません。半角の英数字・.・- で書いてください。";
    NoContact(text: String) =>
        "\"{text}\" can't be called: write a sip: URI with an IP address, \
         like \"sip:101@192.0.2.7:5060\"",
        "「{text}」は呼び出せません。sip:101@192.0.2.7:5060 のように、IPアドレスで書いてください。";
    NoRegistrar(text: String) =>
        "\"{text}\" is no registrar: write it like \"sip:carrier.example:5060\"",
        "「{text}」は登録先として読めません。sip:carrier.example:5060 のように書いてください。";
    NoSipUser(text: String) =>
        "\"{text}\" is no user of a SIP URI",
        "「{text}」は登録の番号にできません。通信事業者から知らされた番号をそのまま書いてください。";
    NoUserName(text: String) =>
        "\"{text}\" is no user name",
        "「{text}」は認証の名前にできません。空白・\"・:・\\ は使えません。";
    NoSipAddress(text: String) =>
        "\"{text}\" is no address: write it like \"sip:user@carrier.example\"",
        "「{text}」は登録のアドレスとして読めません。sip:user@carrier.example のように書いてください。";
    NoMailAddress(text: String) =>
        "\"{text}\" is no mail address: write it like \"a@example.jp\"",
        "「{text}」はメールアドレスとして読めません。a@example.jp のように書いてください。";
    NoWebAddress =>
        "is no address: write it like \"https://hooks.example.jp/…\"",
        "アドレスとして読めません。https://hooks.example.jp/… のように書いてください。";
    PlainWebAddress =>
        "must begin with https:// (http:// on loopback only)",
        "https:// で始まるアドレスにしてください(http:// はこの機器の中だけで使えます)。";

    NoProgram =>
        "names no program",
        "最初に、動かすプログラムの名前を書いてください。";
    NoHash(digits: usize) =>
        "must be {digits} hexadecimal digits",
        "{digits}桁の16進数(0~9・a~f)にしてください。koebashi secret が表示した値です。";
    SecretRecipient =>
        "is a secret key, which must never be here: give its public one",
        "これは秘密鍵です。ここに書いてはいけません。消して、公開鍵(age1…)を書いてください。";
    NoRecipient(text: String, why: Cause) =>
        "\"{text}\" is no age public key as `age-keygen` prints it: {why}",
        "「{text}」は公開鍵として読めません。age-keygen が表示した age1… を写してください({why})。";
    Placeholder =>
        "is a placeholder, good on loopback only",
        "見本のパスワードは使えません。新しいパスワードに変えてください。";
    ShortPassword(least: usize) =>
        "is shorter than {least} characters, good on loopback only",
        "パスワードは{least}文字以上にしてください。";
    ByHandOnly =>
        "names a program, a file or a folder of the machine: edit the file by hand",
        "機器の中の場所やプログラムを表すので、この画面では変えられません。設定ファイルを直接編集してください。";
}
}
