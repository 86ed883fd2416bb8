using System.Collections.Frozen;

namespace Tern.Text.Templates;

/// <summary>Tokens to statements and expressions. Recursion is counted, so that no template can exhaust the stack.</summary>
internal sealed partial class TemplateParser
{
    /// <summary>What stands after <c>{%</c>; a tag is a line.</summary>
    private static readonly FrozenDictionary<string, Func<TemplateParser, int, TemplateStatement>> s_tags =
        new Dictionary<string, Func<TemplateParser, int, TemplateStatement>>
        {
            ["break"] = static (p, line) => p.ParseFlow(line, TemplateFlow.Break),
            ["call"] = static (p, line) => p.ParseCallBlock(line),
            ["continue"] = static (p, line) => p.ParseFlow(line, TemplateFlow.Continue),
            ["filter"] = static (p, line) => p.ParseFilterBlock(line),
            ["for"] = static (p, line) => p.ParseFor(line),
            ["generation"] = static (p, line) => new ScopeStatement(line, [], p.ParseBody(line, "generation", "endgeneration")),
            ["if"] = static (p, line) => p.ParseIf(line),
            ["macro"] = static (p, line) => p.ParseMacro(line),
            ["set"] = static (p, line) => p.ParseSet(line),
            ["with"] = static (p, line) => p.ParseWith(line),
        }.ToFrozenDictionary(StringComparer.Ordinal);

    private readonly List<TemplateToken> _tokens;
    private readonly int _nestingMax;
    private readonly HashSet<string> _attributes = new(StringComparer.Ordinal);
    private int _position;
    private int _nesting;
    private int _loops;

    private TemplateParser(List<TemplateToken> tokens, int nestingMax) => (_tokens, _nestingMax) = (tokens, nestingMax);

    private TemplateToken Current => _tokens[_position];

    private TemplateToken Peek => _tokens[Math.Min(_position + 1, _tokens.Count - 1)];

    /// <summary>Parses a template.</summary>
    /// <exception cref="TernException">The template is too long, nests too deeply or is not well-formed; the message has the line.</exception>
    public static ParsedTemplate Parse(string source, TemplateBudget budget)
    {
        if (source.Length > budget.SourceCharacters)
            throw TemplateError.At(1, $"source budget of {budget.SourceCharacters} characters exceeded: the template has {source.Length}");

        var parser = new TemplateParser(TemplateLexer.Tokenize(source), budget.Nesting);
        TemplateStatement[] body = parser.ParseStatements([]);
        return new ParsedTemplate(body, parser._attributes);
    }

    /// <summary>Statements up to a tag of <paramref name="ends"/>, of which the name is consumed; without ends, up to the end of the template.</summary>
    private TemplateStatement[] ParseStatements(string[] ends)
    {
        Enter();
        var statements = new List<TemplateStatement>();
        while (Current.Kind != TemplateTokenKind.End)
        {
            TemplateToken token = Next();
            switch (token.Kind)
            {
                case TemplateTokenKind.Data:
                    statements.Add(new TextStatement(token.Text));
                    break;
                case TemplateTokenKind.VariableBegin:
                    statements.Add(new OutputStatement(ParseTuple()));
                    Expect(TemplateTokenKind.VariableEnd, "'}}'");
                    break;
                default:
                    TemplateToken name = ExpectName("the name of a tag");
                    if (ends.Contains(name.Text))
                    {
                        Leave();
                        _end = name.Text;
                        return [.. statements];
                    }

                    statements.Add(ParseTag(name, ends));
                    Expect(TemplateTokenKind.BlockEnd, "'%}'");
                    break;
            }
        }

        Leave();
        return ends.Length == 0 ? [.. statements] : throw TemplateError.At(Current.Line, $"the template ends where {Alternatives(ends)} is missing");
    }

    /// <summary>The tag at which the last <see cref="ParseStatements"/> stopped.</summary>
    private string _end = "";

    private TemplateStatement ParseTag(TemplateToken name, string[] ends)
    {
        if (s_tags.TryGetValue(name.Text, out Func<TemplateParser, int, TemplateStatement>? parse))
            return parse(this, name.Line);

        string known = string.Join(", ", s_tags.Keys.Order(StringComparer.Ordinal));
        throw TemplateError.At(name.Line, ends.Length == 0
            ? $"the tag {TemplateText.Quote(name.Text)} is not known; known are {known}"
            : $"the tag {TemplateText.Quote(name.Text)} is not known here; {Alternatives(ends)} or one of {known} may follow");
    }

    /// <summary>The end of the opening tag, the body, and the closing tag up to its own end.</summary>
    private TemplateStatement[] ParseBody(int line, string tag, string end)
    {
        int loops = _loops;
        _loops = tag is "with" or "generation" ? loops : 0;
        Expect(TemplateTokenKind.BlockEnd, $"'%}}' after '{tag}' of line {line}");
        TemplateStatement[] body = ParseStatements([end]);
        _loops = loops;
        return body;
    }

    private FlowStatement ParseFlow(int line, TemplateFlow flow) =>
        _loops > 0 ? new FlowStatement(flow) : throw TemplateError.At(line, "'break' and 'continue' must stand inside a loop's own body");

    private IfStatement ParseIf(int line)
    {
        var branches = new List<(TemplateExpression, TemplateStatement[])>();
        TemplateStatement[] otherwise = [];
        do
        {
            TemplateExpression condition = ParseTuple(withCondition: false);
            Expect(TemplateTokenKind.BlockEnd, $"'%}}' after 'if' of line {line}");
            branches.Add((condition, ParseStatements(["elif", "else", "endif"])));
        }
        while (_end == "elif");

        if (_end == "else")
        {
            Expect(TemplateTokenKind.BlockEnd, "'%}' after 'else'");
            otherwise = ParseStatements(["endif"]);
        }

        return new IfStatement([.. branches], otherwise);
    }

    private ForStatement ParseFor(int line)
    {
        AssignmentTarget target = ParseTarget(withAttribute: false);
        if (!SkipName("in"))
            throw Unexpected(Current, "'in'");
        TemplateExpression sequence = ParseTuple(withCondition: false);
        TemplateExpression? condition = SkipName("if") ? ParseExpression() : null;
        bool isRecursive = SkipName("recursive");
        Expect(TemplateTokenKind.BlockEnd, $"'%}}' after 'for' of line {line}");

        _loops++;
        TemplateStatement[] body = ParseStatements(["else", "endfor"]);
        _loops--;
        TemplateStatement[] otherwise = [];
        if (_end == "else")
        {
            Expect(TemplateTokenKind.BlockEnd, "'%}' after 'else'");
            int loops = _loops;
            _loops = 0;
            otherwise = ParseStatements(["endfor"]);
            _loops = loops;
        }

        return new ForStatement(line, target, sequence, condition, body, otherwise, isRecursive);
    }

    private TemplateStatement ParseSet(int line)
    {
        AssignmentTarget target = ParseTarget(withAttribute: true);
        if (SkipOperator("="))
            return new SetStatement(line, target, ParseTuple());

        TemplateExpression? filters = AtOperator("|") ? ParseFilterChain(new CapturedExpression(line)) : null;
        return new SetBlockStatement(line, target, filters, ParseBody(line, "set", "endset"));
    }

    private FilterBlockStatement ParseFilterBlock(int line)
    {
        TemplateExpression filters = ParseFilterChain(ParseFilterName(new CapturedExpression(line)));
        return new FilterBlockStatement(filters, ParseBody(line, "filter", "endfilter"));
    }

    private TemplateExpression ParseFilterChain(TemplateExpression subject)
    {
        while (AtOperator("|"))
            subject = ParseFilter(subject);
        return subject;
    }

    private ScopeStatement ParseWith(int line)
    {
        var variables = new List<(AssignmentTarget, TemplateExpression)>();
        while (Current.Kind != TemplateTokenKind.BlockEnd)
        {
            if (variables.Count > 0)
                ExpectOperator(",");
            AssignmentTarget target = ParseSingleTarget(withAttribute: false);
            ExpectOperator("=");
            variables.Add((target, ParseExpression()));
        }

        return new ScopeStatement(line, [.. variables], ParseBody(line, "with", "endwith"));
    }

    private MacroStatement ParseMacro(int line)
    {
        string name = ExpectName("the name of the macro").Text;
        (string, TemplateExpression?)[] parameters = ParseParameters();
        return new MacroStatement(name, new MacroDefinition(name, parameters, ParseBody(line, "macro", "endmacro")));
    }

    private CallBlockStatement ParseCallBlock(int line)
    {
        (string, TemplateExpression?)[] parameters = AtOperator("(") ? ParseParameters() : [];
        if (ParseExpression() is not CallExpression call)
            throw TemplateError.At(line, "'call' needs the call of a macro");
        return new CallBlockStatement(line, call, new MacroDefinition("caller", parameters, ParseBody(line, "call", "endcall")));
    }

    private (string, TemplateExpression?)[] ParseParameters()
    {
        ExpectOperator("(");
        var parameters = new List<(string Name, TemplateExpression? Default)>();
        while (!SkipOperator(")"))
        {
            if (parameters.Count > 0)
                ExpectOperator(",");
            if (SkipOperator(")"))
                break;
            TemplateToken name = ExpectName("the name of a parameter");
            TemplateExpression? fallback = SkipOperator("=") ? ParseExpression() : null;
            if (fallback is null && parameters is [.., { Default: not null }])
                throw TemplateError.At(name.Line, $"parameter '{name.Text}' without a default follows one with a default");
            parameters.Add((name.Text, fallback));
        }

        return [.. parameters];
    }

    private AssignmentTarget ParseTarget(bool withAttribute)
    {
        AssignmentTarget first = ParseSingleTarget(withAttribute);
        if (!AtOperator(","))
            return first;

        var row = new List<AssignmentTarget> { first };
        while (SkipOperator(",") && (Current.Kind == TemplateTokenKind.Name || AtOperator("(")) && !AtName("in"))
            row.Add(ParseSingleTarget(withAttribute));
        return new AssignmentTarget("", null, [.. row]);
    }

    private AssignmentTarget ParseSingleTarget(bool withAttribute)
    {
        if (SkipOperator("("))
        {
            Enter();
            AssignmentTarget inner = ParseTarget(withAttribute);
            Leave();
            ExpectOperator(")");
            return inner;
        }

        TemplateToken name = ExpectName("a name to assign to");
        if (name.Text is "true" or "false" or "none" or "True" or "False" or "None")
            throw TemplateError.At(name.Line, $"'{name.Text}' cannot be assigned to");
        if (!withAttribute || !SkipOperator("."))
            return new AssignmentTarget(name.Text, null, null);
        return new AssignmentTarget(name.Text, ExpectName("the attribute of a namespace").Text, null);
    }

    private TemplateToken Next()
    {
        TemplateToken token = Current;
        if (token.Kind != TemplateTokenKind.End)
            _position++;
        return token;
    }

    private bool AtName(string name) => Current.Kind == TemplateTokenKind.Name && Current.Text == name;

    private bool AtOperator(string text) => Current.Kind == TemplateTokenKind.Operator && Current.Text == text;

    private bool SkipName(string name)
    {
        bool at = AtName(name);
        if (at)
            _position++;
        return at;
    }

    private bool SkipOperator(string text)
    {
        bool at = AtOperator(text);
        if (at)
            _position++;
        return at;
    }

    private void Expect(TemplateTokenKind kind, string what)
    {
        if (Current.Kind != kind)
            throw Unexpected(Current, what);
        _position++;
    }

    private void ExpectOperator(string text)
    {
        if (!SkipOperator(text))
            throw Unexpected(Current, $"'{text}'");
    }

    private TemplateToken ExpectName(string what) => Current.Kind == TemplateTokenKind.Name ? Next() : throw Unexpected(Current, what);

    private void Enter()
    {
        if (++_nesting > _nestingMax)
            throw TemplateError.At(Current.Line, $"nesting budget of {_nestingMax} levels exceeded");
    }

    private void Leave() => _nesting--;

    private static TernException Unexpected(TemplateToken token, string expected) =>
        TemplateError.At(token.Line, token.Kind == TemplateTokenKind.End
            ? $"the template ends where {expected} is expected"
            : $"{TemplateText.Quote(token.Text)} stands where {expected} is expected");

    private static string Alternatives(string[] words) => string.Join(" or ", words.Select(word => $"'{{% {word} %}}'"));
}

/// <summary>What parsing gives: the statements, and every attribute or text literal by which something may be looked up.</summary>
internal sealed record ParsedTemplate(TemplateStatement[] Body, IReadOnlySet<string> Attributes);
