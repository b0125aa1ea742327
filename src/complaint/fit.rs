//! What can be wrong with values that are right by themselves and do not go together.

use super::say::{Hint, Weekday, kinds};

kinds! {
/// With what is right by itself and does not go together.
Fit {
    AlreadyOne(line: usize) =>
        "there already is one, in line {line}",
        "同じ番号・IDのものがすでにあります(設定ファイルの{line}行目)。別の番号・IDにしてください。";
    NumberTaken(number: String, line: String) =>
        "{number} belongs to line {line} already",
        "{number} は、すでに回線「{line}」の番号です。どちらか一つにしてください。";
    PeerTaken(peer: String, trunk: String) =>
        "{peer} belongs to trunk {trunk} already",
        "{peer} は、すでに外線「{trunk}」の相手です。どちらか一つにしてください。";
    PeerOverlaps(peer: String, trunk: String) =>
        "{peer} overlaps with trunk {trunk}",
        "{peer} は、外線「{trunk}」の相手と重なっています。";
    ExtensionIsNumber(line: String) =>
        "is a number of line {line}",
        "回線「{line}」の電話番号と同じです。別の内線にしてください。";
    ExtensionLikeCode(name: String, code: String) =>
        "begins like the code {name} (\"{code}\")",
        "特番 {code}({name})と同じ数字で始まっています。別の内線にしてください。";
    CodeClash(code: String, other: String) =>
        "\"{code}\" begins like {other}: which is meant can't be told",
        "「{code}」は特番 {other} と同じ始まりなので、区別できません。どちらかを変えてください。";

    NoLine(line: String, hint: Hint) =>
        "there is no line \"{line}\"{hint}",
        "回線「{line}」はありません。{hint}";
    NoNode(node: String, hint: Hint) =>
        "there is no node \"{node}\"{hint}",
        "進む先「{node}」はありません。{hint}";
    NoPrompt(prompt: String, hint: Hint) =>
        "there is no prompt \"{prompt}\"{hint}",
        "音声「{prompt}」はありません。音声のページで作るか、別の音声を選んでください。{hint}";
    NeverSaid(hint: Hint) =>
        "koebashi does not say this{hint}",
        "この名前の音声を流す場面はありません。{hint}";
    NoStart =>
        "the guidance has no node \"start\" to begin with",
        "始まりの案内(start)がありません。「start」という名前の案内を作ってください。";
    Circle(way: String) =>
        "a caller who presses nothing goes round for ever: {way}",
        "何も押さない人には、同じ案内が永久に繰り返されます。どこかの進む先を変えてください: {way}";
    NobodyTakes =>
        "no counselor takes this line's calls",
        "この回線を受ける相談員がいません。相談員の「受ける回線」に加えてください。";
    UnreachableNode =>
        "no caller ever gets to this node",
        "この案内へ来る道がありません。ほかの案内から進むようにするか、消してください。";
    UnreachableLine =>
        "no number, and no other line leads here: no caller ever gets in",
        "電話番号がなく、ほかの回線からも来ないので、だれもかけられません。番号を入力してください。";
    ReservedNode =>
        "is a target of its own and can't be the name of a node",
        "queue・help・hangup・line は、案内の名前に使えません。別の名前にしてください。";
    QueueToItself =>
        "the queue can't lead to itself: help, hangup, line:ID or a node",
        "待ち行列から同じ待ち行列へは進めません。ほかの進む先にしてください\
         (help、hangup、line:回線のID、案内の名前)。";
    IdleKeys =>
        "timeout and repeats mean nothing without keys",
        "キーがないので、キーを待つ時間(timeout)と繰り返し(repeats)は使われません。";
    LongGuidance(seconds: u64, most: u64) =>
        "{seconds} s until the queue or the first choice; callers give up (at most {most} s)",
        "待ち行列か最初の選択まで{seconds}秒かかります。途中で切る人が増えるので、\
         {most}秒以内に短くしてください。";

    NoDays =>
        "names no day",
        "曜日を一つ以上選んでください。";
    IntakeAfterService =>
        "is after service_end",
        "受付の終わりが、相談の終わりより後です。同じか、前の時刻にしてください。";
    Overlap(day: Weekday, time: String) =>
        "overlaps with another window on {day} {time}",
        "{day} {time} に、ほかの時間帯と重なっています。";
    IdleOverrideEnd =>
        "means nothing while override is \"auto\"",
        "臨時の開け閉めをしていない(auto)ので、期限は使われません。";
    EndlessWait =>
        "is longer than max_wait and could never end a wait",
        "待ち時間の上限(max_wait)より長くはできません。同じか、短くしてください。";
    ShorterThan(other: &'static str) =>
        "is shorter than {other}",
        "{other} より短くはできません。同じか、長くしてください。";
    NotLongerThan(other: &'static str) =>
        "is not longer than {other}",
        "{other} より長くしてください。";

    NoPeers =>
        "no peers and no register: no call could come",
        "電話が来る道がありません。電話を送ってよい相手か、登録先を入力してください。";
    Everyone =>
        "everyone may send calls",
        "だれからでも電話を送れます。通信事業者のアドレスだけにしてください。";
    NoCalledNumber =>
        "is empty: the line could not be told",
        "空にすると、どの回線への電話か分かりません。一つ以上選んでください。";
    NoCodecs =>
        "is empty: nobody would be heard",
        "空にすると、声が聞こえません。一つ以上選んでください。";
    EveryAddress(socket: String) =>
        "{socket} is every address: say in advertised which address peers shall call",
        "{socket} はすべてのアドレスです。相手がかけるアドレスを、\
         「外から見えるIPアドレス」(advertised)に書いてください。";
    DemoElsewhere =>
        "the demo line opens on loopback only: name a trunk, a line and a counselor to listen \
         elsewhere",
        "見本の回線は、この機器の中だけで使えます。外から受けるには、\
         外線・回線・相談員を作ってください。";
    NoLines =>
        "there is none: no caller is answered (a file that names a trunk or a counselor opens no \
         demo line)",
        "回線が一つもないので、どの電話にも出ません。回線を作ってください\
         (外線か相談員があると、見本の回線は開きません)。";
    NoTrunks =>
        "there is none: nobody can call the lines",
        "外線が一つもないので、だれも電話をかけられません。外線を作ってください。";
    FewPorts(calls: usize, most: usize) =>
        "enough for {calls} calls (two legs each), fewer than service.max_calls = {most}",
        "ポートが{calls}通話分(1通話に2組)で、同時通話数の上限({most})に足りません。\
         ポートを増やすか、上限を下げてください。";

    TwoPasswords =>
        "there is a password too: keep one of them",
        "パスワードが別の項目にもあります。どちらか一つにしてください。";
    Md5Needed =>
        "ha1 is needed beside it: most phones know MD5 only",
        "ha1 も必要です。多くの電話機は MD5 しか使えません。";
    NoProof =>
        "has no password, password_file, ha1 or fixed contact",
        "電話機のパスワードがありません。パスワードか、登録しない電話機のアドレスを入力してください。";
    MailPasswordMissing =>
        "has no password: write password_file",
        "パスワードがありません。パスワードのファイル(password_file)を書いてください。";
    MailUserMissing =>
        "there is no user",
        "ユーザー名がありません。入力するか、パスワードを消してください。";
    MailInClear =>
        "the password goes to the server in clear",
        "パスワードが暗号化されずにメールサーバーへ送られます。暗号化を選んでください。";
    ConsoleInClear =>
        "is not loopback, and passwords go over it in clear: put a proxy with TLS before it",
        "この画面が暗号化されずに外へ公開され、パスワードが読まれるおそれがあります。\
         TLSの中継(プロキシ)を前に置いてください。";
    KeysToPeer(uri: String) =>
        "its keys can be read on the way: {uri} is not called by TLS",
        "音声の暗号の鍵が途中で読まれるおそれがあります。{uri} にはTLSで接続してください。";
    KeysFromPeer =>
        "its keys can be read on the way: no address of sip.listen is tls://",
        "音声の暗号の鍵が途中で読まれるおそれがあります。電話を待ち受ける場所に tls:// を加えてください。";
    SmallCells =>
        "below 3: persons may be found in what is published",
        "3より小さいと、公表した数字から個人が分かるおそれがあります。3以上にしてください。";

    NoRecipients =>
        "needs recording.recipients: who can open the recordings?",
        "録音するには、録音を開ける人の鍵(recording.recipients)が先に必要です。";
    UnheardNotice =>
        "needs answer = \"immediate\": the caller must hear of it first",
        "録音するには、先に相談者に知らせる必要があります。電話の受け方(answer)を、\
         すぐに応答する(immediate)にしてください。";
    FalseNotice =>
        "tells callers that they are not recorded, and they are",
        "「録音しません」と案内していますが、録音されます。案内の音声を替えてください。";

    NoSocketFor(transport: String) =>
        "is called from a {transport}:// socket: sip.listen has none",
        "{transport} で接続しますが、電話を待ち受ける場所(sip.listen)に {transport}:// がありません。\
         加えてください。";
    TlsKeyMissing =>
        "is missing: a certificate is of no use without its key",
        "証明書には鍵も必要です。鍵のファイルを書いてください。";
    CertificateMissing =>
        "is missing: a key is of no use without it",
        "鍵には証明書も必要です。証明書のファイルを書いてください。";
    TlsWithoutFiles =>
        "tls:// needs a certificate and its key: name them in sip.tls.certificate and sip.tls.key",
        "tls:// を使うには証明書と鍵が必要です。\
         証明書のファイル(sip.tls.certificate)と鍵のファイル(sip.tls.key)を書いてください。";
    TlsUnused =>
        "means nothing: sip.listen has no tls:// socket",
        "電話を待ち受ける場所(sip.listen)に tls:// がないので、証明書は使われません。";
}
}
