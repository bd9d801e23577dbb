mail-title = メールの行方
mail-message-title = このメールの行方
mail-lead = 最近あなたのアドレスに届いたメールと、送信したメールの行方です。件名と本文は記録していません。
mail-with = 相手のアドレスまたはドメイン
mail-with-hint = 例：taro@example.jp、example.jp。空欄のまま検索すると、すべて表示します。
mail-way = 向き
mail-way-both = 受信と送信
mail-way-in = 受信
mail-way-out = 送信
mail-in = 受信
mail-out = 送信
mail-days = 期間
mail-last-days =
    { $days ->
        [1] 24 時間以内
       *[other] { $days } 日以内
    }
mail-search = 検索
mail-latest-first = 新しい順
mail-when = 日時
mail-fate = 結果
mail-refused = 拒否しました
mail-nothing = 該当するメールはありません。
mail-nothing-hint = 期間を長くする、@ の後ろだけで探す、空欄で検索するなどをお試しください。ここにないメールは、このサーバーに届いていません。
mail-not-a-party = メールアドレス（taro@example.jp）またはドメイン（example.jp）を入力してください。
tally-delivered = 到着 { $count } 件
tally-forwarded = 転送 { $count } 件
tally-waiting = 再送待ち { $count } 件
tally-untried = 配送前 { $count } 件
tally-failed = 不達 { $count } 件
tally-removed = 削除 { $count } 件
fate-waiting = 再送待ち
