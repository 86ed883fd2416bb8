using System.Text;

namespace Tern.Text.Templates;

/// <summary>What a token of a template is.</summary>
internal enum TemplateTokenKind : byte
{
    /// <summary>Text outside of tags, as it is to be printed.</summary>
    Data,
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name,
    String,
    Integer,
    Float,
    Operator,
    End,
}

/// <summary>A token: its text (a string literal without quotes and escapes) and the line on which it begins.</summary>
internal readonly record struct TemplateToken(TemplateTokenKind Kind, string Text, int Line);

/// <summary>
/// Cuts a template into tokens, by the rules of Jinja with <c>trim_blocks</c> and <c>lstrip_blocks</c> on, as chat templates are written for:
/// <code>
///     text {%- …   cuts all white space before the tag        … -%} text   cuts all white space after it
///     text {%  …   cuts spaces before it up to a line start   …  %} text   cuts one line end after it
///     text {%+ …   cuts nothing                               … +%} text   cuts nothing
/// </code>
/// <c>{{ }}</c> cuts only with a minus; comments follow the rules of blocks. Line ends become <c>\n</c>; one at the very end of the template is dropped.
/// </summary>
internal sealed class TemplateLexer
{
    private const int NameCharactersMax = 256;

    private static readonly string[] s_operators =
        ["//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ","];

    private readonly string _source;
    private readonly List<TemplateToken> _tokens = [];
    private readonly Stack<string> _open = new();
    private int _position;
    private int _line = 1;
    private int _lineCountedTo;

    private TemplateLexer(string source)
    {
        _source = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        if (_source.EndsWith('\n'))
            _source = _source[..^1];
    }

    /// <summary>All tokens of a template, the last of kind End.</summary>
    /// <exception cref="TernException">A tag, comment or string is not closed, or a character has no meaning.</exception>
    public static List<TemplateToken> Tokenize(string source)
    {
        var lexer = new TemplateLexer(source);
        while (lexer._position < lexer._source.Length)
            lexer.ReadText();
        lexer.Add(TemplateTokenKind.End, "end of template", lexer._position);
        return lexer._tokens;
    }

    /// <summary>Reads text up to the next tag, and that tag.</summary>
    private void ReadText()
    {
        int start = _position;
        int tag = start;
        do
            tag = _source.IndexOf('{', tag) is int found and >= 0 ? found + 1 : _source.Length;
        while (tag < _source.Length && _source[tag] is not ('{' or '%' or '#'));

        if (tag >= _source.Length)
        {
            Add(TemplateTokenKind.Data, _source[start..], start);
            _position = _source.Length;
            return;
        }

        char kind = _source[tag--];
        char sign = At(tag + 2);
        AddText(start, tag, sign, lstrip: kind != '{');
        _position = tag + (sign is '-' or '+' ? 3 : 2);
        if (kind == '#')
            SkipComment(tag);
        else if (kind == '%' && TryEndOfTag(_position, "raw", out int rawStart, lineEndAfter: false))
            ReadRaw(tag, rawStart);
        else
            ReadTag(tag, kind == '%');
    }

    /// <summary>Emits the text in [start, end) in front of a tag whose sign decides what is cut from its end.</summary>
    private void AddText(int start, int end, char sign, bool lstrip)
    {
        int keep = end;
        if (sign == '-')
        {
            while (keep > start && IsSpace(_source[keep - 1]))
                keep--;
        }
        else if (sign != '+' && lstrip)
        {
            int lineStart = end;
            while (lineStart > start && IsSpace(_source[lineStart - 1]) && _source[lineStart - 1] != '\n')
                lineStart--;
            if (lineStart == 0 || _source[lineStart - 1] == '\n')
                keep = lineStart;
        }

        if (keep > start)
            Add(TemplateTokenKind.Data, _source[start..keep], start);
    }

    private void SkipComment(int tag)
    {
        int end = _source.IndexOf("#}", _position, StringComparison.Ordinal);
        if (end < 0)
            throw Fail(tag, "the comment is not closed with '#}'");

        char sign = end > _position ? _source[end - 1] : ' ';
        _position = AfterTag(end + 2, sign, lineEndAfter: true);
    }

    private void ReadRaw(int tag, int start)
    {
        for (int i = start; (i = _source.IndexOf("{%", i, StringComparison.Ordinal)) >= 0; i += 2)
        {
            char sign = At(i + 2);
            if (!TryEndOfTag(i + (sign is '-' or '+' ? 3 : 2), "endraw", out int after, lineEndAfter: true))
                continue;

            AddText(start, i, sign, lstrip: true);
            _position = after;
            return;
        }

        throw Fail(tag, "the raw block is not closed with '{% endraw %}'");
    }

    /// <summary>Whether the tag at <paramref name="from"/> holds <paramref name="word"/> only; if so, where the text after it begins.</summary>
    private bool TryEndOfTag(int from, string word, out int after, bool lineEndAfter)
    {
        after = 0;
        int i = SkipSpaces(from);
        if (string.CompareOrdinal(_source, i, word, 0, word.Length) != 0)
            return false;

        i = SkipSpaces(i + word.Length);
        char sign = At(i);
        if (sign is '-' or '+')
            i++;
        if (At(i) != '%' || At(i + 1) != '}')
            return false;

        after = AfterTag(i + 2, sign, lineEndAfter);
        return true;
    }

    /// <summary>Reads the tokens of a tag up to its end.</summary>
    private void ReadTag(int tag, bool block)
    {
        Add(block ? TemplateTokenKind.BlockBegin : TemplateTokenKind.VariableBegin, block ? "{%" : "{{", tag);
        char closing = block ? '%' : '}';
        _open.Clear();
        while (true)
        {
            _position = SkipSpaces(_position);
            if (_position >= _source.Length)
                throw Fail(tag, block ? "the tag is not closed with '%}'" : "the expression is not closed with '}}'");

            char sign = At(_position);
            int end = sign == '-' || (sign == '+' && block) ? _position + 1 : _position;
            if (_open.Count == 0 && At(end) == closing && At(end + 1) == '}')
            {
                Add(block ? TemplateTokenKind.BlockEnd : TemplateTokenKind.VariableEnd, block ? "%}" : "}}", end);
                _position = AfterTag(end + 2, sign, lineEndAfter: block);
                return;
            }

            ReadToken();
        }
    }

    private void ReadToken()
    {
        char c = _source[_position];
        if (char.IsAsciiDigit(c))
            ReadNumber();
        else if (c == '_' || char.IsLetter(c))
            ReadName();
        else if (c is '\'' or '"')
            ReadString(c);
        else
            ReadOperator();
    }

    private void ReadName()
    {
        int start = _position;
        while (At(_position) == '_' || char.IsLetterOrDigit(At(_position)))
            _position++;
        if (_position - start > NameCharactersMax)
            throw Fail(start, $"a name of {_position - start} characters; the limit is {NameCharactersMax}");
        Add(TemplateTokenKind.Name, _source[start.._position], start);
    }

    /// <summary>Digits, with underscores between them; a fraction or an exponent makes a float, except after a dot (<c>a.0.1</c>).</summary>
    private void ReadNumber()
    {
        int start = _position;
        bool isFloat = false;
        if (_source[start] == '0' && char.ToLowerInvariant(At(start + 1)) is 'x' or 'o' or 'b')
        {
            _position = start + 2;
            while (char.IsAsciiHexDigit(At(_position)) || At(_position) == '_')
                _position++;
        }
        else
        {
            SkipDigits();
            bool fractionAllowed = start == 0 || _source[start - 1] != '.';
            if (fractionAllowed && At(_position) == '.' && char.IsAsciiDigit(At(_position + 1)))
            {
                isFloat = true;
                _position++;
                SkipDigits();
            }

            int exponent = At(_position + 1) is '+' or '-' ? _position + 2 : _position + 1;
            if (fractionAllowed && At(_position) is 'e' or 'E' && char.IsAsciiDigit(At(exponent)))
            {
                isFloat = true;
                _position = exponent;
                SkipDigits();
            }
        }

        string digits = _source[start.._position].Replace("_", "", StringComparison.Ordinal);
        Add(isFloat ? TemplateTokenKind.Float : TemplateTokenKind.Integer, digits, start);
    }

    private void SkipDigits()
    {
        while (char.IsAsciiDigit(At(_position)) || (At(_position) == '_' && char.IsAsciiDigit(At(_position + 1))))
            _position++;
    }

    private void ReadString(char quote)
    {
        int start = _position++;
        int end = _position;
        while (end < _source.Length && _source[end] != quote)
            end += _source[end] == '\\' ? 2 : 1;
        if (end >= _source.Length)
            throw Fail(start, "the string is not closed");

        Add(TemplateTokenKind.String, Unescape(_source.AsSpan(_position, end - _position), start), start);
        _position = end + 1;
    }

    /// <summary>Python's escapes; an unknown one stays as it is written.</summary>
    private string Unescape(ReadOnlySpan<char> text, int start)
    {
        if (!text.Contains('\\'))
            return text.ToString();

        var result = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\')
            {
                result.Append(text[i]);
                continue;
            }

            char c = text[++i];
            int known = "\\'\"abfnrtv".IndexOf(c, StringComparison.Ordinal);
            int digits = c switch { 'x' => 2, 'u' => 4, 'U' => 8, _ => 0 };
            if (known >= 0)
                result.Append("\\'\"\a\b\f\n\r\t\v"[known]);
            else if (digits > 0)
            {
                if (i + digits >= text.Length || !uint.TryParse(text.Slice(i + 1, digits), System.Globalization.NumberStyles.AllowHexSpecifier, null, out uint code) || code > 0x10FFFF)
                    throw Fail(start, $"the escape '\\{c}' needs {digits} hexadecimal digits of a character");
                result.Append(code is >= 0xD800 and < 0xE000 || code < 0x10000 ? ((char)code).ToString() : char.ConvertFromUtf32((int)code));
                i += digits;
            }
            else if (c is >= '0' and <= '7')
            {
                int code = 0;
                int last = Math.Min(i + 3, text.Length);
                for (; i < last && text[i] is >= '0' and <= '7'; i++)
                    code = code * 8 + (text[i] - '0');
                i--;
                result.Append((char)code);
            }
            else if (c != '\n')
                result.Append('\\').Append(c);
        }

        return result.ToString();
    }

    private void ReadOperator()
    {
        foreach (string text in s_operators)
        {
            if (string.CompareOrdinal(_source, _position, text, 0, text.Length) != 0)
                continue;

            if (text is "(" or "[" or "{")
                _open.Push(text == "(" ? ")" : text == "[" ? "]" : "}");
            else if (text is ")" or "]" or "}" && (!_open.TryPop(out string? expected) || expected != text))
                throw Fail(_position, expected is null ? $"unexpected '{text}'" : $"unexpected '{text}' where '{expected}' must close");

            Add(TemplateTokenKind.Operator, text, _position);
            _position += text.Length;
            return;
        }

        throw Fail(_position, $"unexpected character {TemplateText.Quote(_source[_position].ToString())}");
    }

    private int AfterTag(int end, char sign, bool lineEndAfter) =>
        sign == '-' ? SkipSpaces(end) : sign != '+' && lineEndAfter && At(end) == '\n' ? end + 1 : end;

    private int SkipSpaces(int i)
    {
        while (i < _source.Length && IsSpace(_source[i]))
            i++;
        return i;
    }

    private char At(int i) => i < _source.Length ? _source[i] : '\0';

    /// <summary>White space as Python sees it.</summary>
    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\u001c' and <= '\u001f';

    private void Add(TemplateTokenKind kind, string text, int position) => _tokens.Add(new TemplateToken(kind, text, LineOf(position)));

    /// <summary>The line of a position; positions only grow, so every character is looked at once.</summary>
    private int LineOf(int position)
    {
        if (position > _lineCountedTo)
        {
            _line += _source.AsSpan(_lineCountedTo, position - _lineCountedTo).Count('\n');
            _lineCountedTo = position;
        }

        return _line;
    }

    private TernException Fail(int position, string what) =>
        TemplateError.At(1 + _source.AsSpan(0, position).Count('\n'), what);
}
