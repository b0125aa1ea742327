//! What can be wrong with files: the configuration's own text, certificates, passwords, prompts.

use super::Wrong;
use super::say::{Cause, kinds};
use super::syntax::Syntax;

kinds! {
/// With a file, or with the text of one.
File {
    Of(file: String, what: Box<Wrong>) =>
        "{file}: {what}",
        "{file}: {what}";
    Unreadable(cause: Cause) =>
        "can't be read: {cause}",
        "ファイルを読めません({cause})。場所と権限を確かめてください。";
    NamedUnreadable(file: String, cause: Cause) =>
        "\"{file}\" can't be read: {cause}",
        "「{file}」を読めません({cause})。場所と権限を確かめてください。";
    NoPlainFile(most: u64) =>
        "is not a file of at most {most} bytes",
        "{most}バイトまでの普通のファイルにしてください。";
    NamedNoPlainFile(file: String, most: u64) =>
        "\"{file}\" is not a file of at most {most} bytes",
        "「{file}」を、{most}バイトまでの普通のファイルにしてください。";
    NoUtf8 =>
        "is not UTF-8",
        "文字コードが UTF-8 ではありません。UTF-8 で保存し直してください。";
    TooBig(n: usize, most: usize) =>
        "has {n} bytes; at most {most}",
        "{n}バイトあります。{most}バイトまでにしてください。";
    More(most: usize) =>
        "more is wrong than the {most} that are listed",
        "ほかにもあります({most}件まで表示しています)。直してから、もう一度確かめてください。";
    NotToml(text: Syntax) =>
        "{text}",
        "設定ファイルの書き方が違います: {text}";
    DemoOpens =>
        "is not there: the demo line opens on loopback",
        "設定ファイルがないので、この機器の中だけで見本の回線を開きます。";
    GoneOrEmpty =>
        "is gone or empty; the demo opens at a start only",
        "設定ファイルがなくなったか、空になりました。見本の回線は、始めるときにだけ開きます。";

    NotThere =>
        "there is none",
        "変えようとしたものが、設定ファイルにありません。画面を開き直してください。";
    ByHand =>
        "is written in a form that has to be changed by hand",
        "設定ファイルでの書き方のため、この画面では変えられません。ファイルを直接直してください。";

    ExpiresIn(days: String) =>
        "expires in {days}",
        "証明書の期限まで、あと {days} です。新しくしてください。";
    Expired(moment: String) =>
        "has expired at {moment}",
        "証明書の期限が {moment} に切れました。新しくしてください。";
    NotYetValid(moment: String) =>
        "is not valid before {moment}",
        "証明書は {moment} より前には使えません。時計と証明書を確かめてください。";
    OtherKey(certificate: String) =>
        "is not the key of {certificate}",
        "{certificate} の鍵ではありません。組になる鍵を書いてください。";
    NoCertificate =>
        "holds no certificate in PEM",
        "証明書(PEM形式)が入っていません。";
    OddCertificate =>
        "holds a certificate that can't be read",
        "証明書を読めません。作り直してください。";
    NoKey =>
        "holds no key in PEM (one with a password can't be read)",
        "鍵(PEM形式)が入っていません。パスワードの付いた鍵は使えません。";
    NoPem(cause: Cause) =>
        "is no PEM file: {cause}",
        "PEM形式のファイルではありません({cause})。";
    NoRoot(cause: Cause) =>
        "holds no root: {cause}",
        "認証局の証明書が入っていません({cause})。";
    NoSystemRoots(cause: Cause) =>
        "there are none{cause}: name a file of roots by sip.tls.ca",
        "この機器に認証局の証明書がありません{cause}。\
         接続先の外線の認証局(sip.tls.ca)にファイルを書いてください。";
    Tls(cause: Cause) =>
        "{cause}",
        "TLSの証明書や鍵として使えません({cause})。";

    Io(cause: Cause) =>
        "{cause}",
        "読み書きできません({cause})。場所と権限を確かめてください。";
    PromptFileName(most: usize) =>
        "a prompt's name has 1 to {most} of a-z, 0-9 and _, and its file ends in .wav",
        "音声のファイルの名前は、英小文字・数字・_ の1文字から{most}文字と .wav にしてください。";
    NoFile =>
        "is no file",
        "普通のファイルではありません。音声のフォルダーから移してください。";
    LargeFile(most: u64) =>
        "is larger than {most} bytes",
        "{most}バイトより大きいファイルです。小さくしてください。";
    ManyFiles(most: usize) =>
        "holds more than {most} WAV files",
        "音声のファイルが{most}個より多くあります。使わないものを移してください。";
    NoWav(cause: Cause) =>
        "not a readable WAV file: {cause}",
        "WAV形式の音声として読めません({cause})。音声のページで入れ直してください。";
    OddWav(cause: Cause) =>
        "unsupported: {cause}",
        "この形式のWAVは使えません({cause})。音声のページで入れ直してください。";
    ForeignWav(rate: u64, bits: u16, channels: u16) =>
        "{rate} Hz, {bits} bit, {channels} channel(s) instead of 8000 Hz, 16 bit, mono; \
         `koebashi prompts import` converts it",
        "{rate} Hz・{bits} bit・{channels} チャンネルです(8000 Hz・16 bit・1 チャンネルが必要)。\
         音声のページで入れ直してください。";
    LongAudio =>
        "too long: at most 10 minutes and 120 MiB",
        "長すぎます。10分以内、120 MiB 以内にしてください。";
    SilentAudio =>
        "empty or silent",
        "空か、無音です。入れ直してください。";
    OddManifest(text: Syntax) =>
        "{text}",
        "音声の一覧(prompts.toml)の書き方が違います: {text}";
    NoVoice(folder: String) =>
        "no voice to render with: put render.sh into {folder}, install open-jtalk with a voice, \
         name a command, or bring recordings with `koebashi prompts import`",
        "読み上げのプログラムがありません。{folder} に render.sh を置くか、\
         open-jtalk と声を入れるか、録音した音声を入れてください。";
    NothingToRead(name: String) =>
        "[{name}] has no text that a voice can speak",
        "[{name}] に読み上げる文がありません。";
    VoiceFailed(cause: Cause, name: String) =>
        "{cause} (rendering `{name}`)",
        "「{name}」の読み上げに失敗しました({cause})。";
    Fault(cause: Cause) =>
        "{cause}",
        "内部の不具合です({cause})。少し待ってから、もう一度お試しください。";
}
}
