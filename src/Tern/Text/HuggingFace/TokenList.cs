using System.Globalization;
using System.Text;
using System.Text.Json;
using Tern.Files;

namespace Tern.Text.HuggingFace;

/// <summary>
/// The tokens of a directory by id: those of <c>model.vocab</c>, those added later, and fillers for the ids that no token has, so that there is one
/// for every row of the embedding. Nothing here is larger than that, whatever ids a file names.
/// </summary>
internal sealed class TokenList
{
    private readonly string?[] _spellings;
    private readonly TokenKind[] _kinds;
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
    private readonly List<float> _scores = [];

    /// <summary>A list without tokens.</summary>
    /// <param name="rows">Rows of the embedding.</param>
    public TokenList(int rows)
    {
        _spellings = new string?[rows];
        _kinds = new TokenKind[rows];
        Array.Fill(_kinds, TokenKind.Unused);
    }

    /// <summary>Number of tokens, fillers included.</summary>
    public int Count => _spellings.Length;

    /// <summary>What the tokens are.</summary>
    public ReadOnlySpan<TokenKind> Kinds => _kinds;

    /// <summary>The token of an id; null for one that no file names.</summary>
    public string? this[int id] => _spellings[id];

    /// <summary>The id of a token, or -1.</summary>
    public int Find(string spelling) => _ids.GetValueOrDefault(spelling, -1);

    /// <summary>Adds the object {token: id} of a byte-pair model.</summary>
    public void AddVocabulary(JsonField vocabulary)
    {
        if (!vocabulary.IsObject)
            throw vocabulary.Semantic("is missing or no object, must name the id of every token");
        foreach (JsonProperty token in vocabulary.Element.EnumerateObject())
            Add(new JsonField(vocabulary.File, token.Value, vocabulary.Name), token.Name, TokenKind.Normal);
        if (_ids.Count == 0)
            throw vocabulary.Semantic("is empty, must have at least one token");
    }

    /// <summary>Adds the list [[token, score]] of a Unigram model, whose places are the ids.</summary>
    public void AddScored(JsonField vocabulary)
    {
        if (!vocabulary.IsArray)
            throw vocabulary.Semantic("is missing or no array, must have every token with its score");
        foreach (JsonField pair in vocabulary.Items)
        {
            JsonField[] parts = pair.IsArray && pair.Element.GetArrayLength() == 2 ? [.. pair.Items] : throw pair.Semantic("is not a token with its score");
            string token = parts[0].Text ?? throw parts[0].Semantic("is missing");
            if (parts[1].Element.ValueKind != JsonValueKind.Number || !parts[1].Element.TryGetSingle(out float score) || !float.IsFinite(score))
                throw parts[1].Semantic("is no number that a float32 holds");
            Add(pair, _scores.Count, token, TokenKind.Normal);
            _scores.Add(score);
        }

        if (_scores.Count == 0)
            throw vocabulary.Semantic("is empty, must have at least one token");
    }

    /// <summary>The scores of <see cref="AddScored"/>; tokens that came later are found before text is cut, and have 0, fillers the lowest.</summary>
    public float[] Scores() => [.. Enumerable.Range(0, Count).Select(id => id < _scores.Count ? _scores[id] : _kinds[id] == TokenKind.Unused ? float.MinValue : 0)];

    /// <summary>Adds a list of objects with id, content and what matching them obeys, as tokenizer.json has it.</summary>
    public void AddTokens(JsonField tokens, Action<string> warn)
    {
        int conditional = 0;
        foreach (JsonField token in tokens.Items)
        {
            string content = token["content"].Text ?? throw token["content"].Semantic("is missing: an added token must have a text");
            AddLater(token["id"], content, token["special"].Flag ?? false, warn);
            conditional += token["lstrip"].Flag == true || token["rstrip"].Flag == true || token["single_word"].Flag == true ? 1 : 0;
        }

        if (conditional > 0)
            warn(Text($"{tokens.File.Path}: {conditional} added tokens want lstrip, rstrip or single_word; they are matched without these, because a GGUF file has no place for them"));
    }

    /// <summary>Adds the object {id: token} of tokenizer_config.json, where it has tokens that are not yet here.</summary>
    public void AddDecoder(JsonField decoder, Action<string> warn)
    {
        if (!decoder.Exists)
            return;
        if (!decoder.IsObject)
            throw decoder.Semantic("must be an object");
        foreach (JsonProperty property in decoder.Element.EnumerateObject())
        {
            var token = new JsonField(decoder.File, property.Value, $"{decoder.Name}.{property.Name}");
            if (!long.TryParse(property.Name, NumberStyles.None, CultureInfo.InvariantCulture, out long id))
                throw token.Semantic("is not named by an id");
            string content = token["content"].Text ?? throw token["content"].Semantic("is missing: an added token must have a text");
            if (Find(content) < 0)
                AddLater(token, id, content, token["special"].Flag ?? false, warn);
        }
    }

    /// <summary>Adds the object {token: id} of added_tokens.json, where it has tokens that are not yet here.</summary>
    /// <param name="tokens">The object.</param>
    /// <param name="isSpecial">Says which of them mark structure, which this file does not.</param>
    /// <param name="warn">Receives one line for everything unusual.</param>
    public void AddOlder(JsonField tokens, Func<string, bool> isSpecial, Action<string> warn)
    {
        if (!tokens.IsObject)
            throw tokens.Semantic("must be an object of tokens and their ids");
        foreach (JsonProperty token in tokens.Element.EnumerateObject())
            if (Find(token.Name) < 0)
                AddLater(new JsonField(tokens.File, token.Value, token.Name), token.Name, isSpecial(token.Name), warn);
    }

    /// <summary>Says what a token is, after all are added.</summary>
    public void Mark(int id, TokenKind kind) => _kinds[id] = kind;

    /// <summary>Fills ids without a token; one warning when there are some before the last token.</summary>
    public void Fill(string path, Action<string> warn)
    {
        int end = Array.FindLastIndex(_spellings, spelling => spelling is not null) + 1;
        int first = Array.IndexOf(_spellings, null, 0, end);
        if (first >= 0)
        {
            int gaps = _spellings.AsSpan(0, end).Count((string?)null);
            warn(Text($"{path}: {gaps} ids below the last one, {end - 1}, have no token, the first of them {first}; they are filled with unused tokens"));
        }

        for (int id = 0; id < Count; id++)
            _spellings[id] ??= Filler(id);
    }

    /// <summary>All tokens in the order of their ids; after <see cref="Fill"/>.</summary>
    public IEnumerable<string> Spellings => _spellings!;

    private void AddLater(JsonField id, string content, bool special, Action<string> warn) =>
        AddLater(id, id.Integer ?? throw id.Semantic("is missing: an added token must have an id"), content, special, warn);

    private void AddLater(JsonField place, long id, string content, bool special, Action<string> warn)
    {
        if (content.Length == 0)
            throw place.Semantic(Text($"the added token {id} has no text, and would be found everywhere"));

        TokenKind kind = special ? TokenKind.Control : TokenKind.UserDefined;
        int known = Find(content);
        if (known < 0)
        {
            Add(place, id, content, kind);
            return;
        }

        // The vocabulary counts, as in the library that writes these files.
        if (known != id)
            warn(Text($"{place.File.Path}: the added token {FileError.Quote(content)} has the id {id}, but {known} in the vocabulary, which counts"));
        _kinds[known] = kind;
    }

    private void Add(JsonField place, string spelling, TokenKind kind) => Add(place, place.Integer ?? throw Nameless(place, spelling), spelling, kind);

    private void Add(JsonField place, long id, string spelling, TokenKind kind)
    {
        if (id < 0 || id >= Count)
            throw place.Semantic(Text($"the token {FileError.Quote(spelling)} has the id {id}, but the embedding has {Count} rows"));
        if (spelling.Length > Vocabulary.TokenBytesMax || Encoding.UTF8.GetByteCount(spelling) > Vocabulary.TokenBytesMax)
            throw place.Error(ErrorKind.Limit, Text($"token {id} has more bytes than the limit {nameof(Vocabulary)}.{nameof(Vocabulary.TokenBytesMax)} of {Vocabulary.TokenBytesMax}"), "no known model has such tokens: take the file from another source");
        if (_spellings[id] is { } other)
            throw place.Semantic(Text($"the tokens {FileError.Quote(other)} and {FileError.Quote(spelling)} have the same id {id}"));
        if (!_ids.TryAdd(spelling, (int)id))
            throw place.Semantic(Text($"the token {FileError.Quote(spelling)} has the ids {_ids[spelling]} and {id}"));
        _spellings[id] = spelling;
        _kinds[id] = kind;
    }

    private static TernException Nameless(JsonField place, string spelling) => place.Semantic($"the token {FileError.Quote(spelling)} has no id");

    /// <summary>A spelling for an unused id that no token has.</summary>
    private string Filler(int id)
    {
        string spelling = Text($"[PAD{id}]");
        while (!_ids.TryAdd(spelling, id))
            spelling += "]";
        return spelling;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
