using System.Globalization;

namespace Tern.Text.Templates;

/// <summary>
/// Expressions, loosest binding first (as in Jinja, a filter binds tighter than arithmetic, and a sign tighter than a filter):
/// <code>
///     a if b else c  &lt;  or  &lt;  and  &lt;  not  &lt;  == != &lt; &lt;= > >= in  &lt;  + -  &lt;  ~  &lt;  * / // %  &lt;  **  &lt;  | is  &lt;  -a +a  &lt;  a.b a[b] a(b)
/// </code>
/// </summary>
internal sealed partial class TemplateParser
{
    private static readonly string[][] s_arithmetic = [["+", "-"], ["~"], ["*", "/", "//", "%"], ["**"]];

    private static readonly string[] s_comparisons = ["==", "!=", "<", "<=", ">", ">="];

    private TemplateExpression ParseExpression()
    {
        TemplateExpression value = ParseOr();
        while (AtName("if"))
        {
            int line = Next().Line;
            TemplateExpression condition = ParseOr();
            TemplateExpression? otherwise = null;
            if (SkipName("else"))
            {
                Enter();
                otherwise = ParseExpression();
                Leave();
            }

            value = new ConditionalExpression(line, condition, value, otherwise);
        }

        return value;
    }

    private TemplateExpression ParseOr()
    {
        TemplateExpression left = ParseAnd();
        while (AtName("or"))
            left = new LogicalExpression(Next().Line, isAnd: false, left, ParseAnd());
        return left;
    }

    private TemplateExpression ParseAnd()
    {
        TemplateExpression left = ParseNot();
        while (AtName("and"))
            left = new LogicalExpression(Next().Line, isAnd: true, left, ParseNot());
        return left;
    }

    private TemplateExpression ParseNot()
    {
        if (!AtName("not"))
            return ParseComparison();

        int line = Next().Line;
        Enter();
        var expression = new UnaryExpression(line, "not", ParseNot());
        Leave();
        return expression;
    }

    private TemplateExpression ParseComparison()
    {
        int line = Current.Line;
        TemplateExpression first = ParseArithmetic(0);
        var rest = new List<(string, TemplateExpression)>();
        while (true)
        {
            if (Current.Kind == TemplateTokenKind.Operator && s_comparisons.Contains(Current.Text))
                rest.Add((Next().Text, ParseArithmetic(0)));
            else if (SkipName("in"))
                rest.Add(("in", ParseArithmetic(0)));
            else if (AtName("not") && Peek is { Kind: TemplateTokenKind.Name, Text: "in" })
            {
                Next();
                Next();
                rest.Add(("not in", ParseArithmetic(0)));
            }
            else
                return rest.Count == 0 ? first : new ComparisonExpression(line, first, [.. rest]);
        }
    }

    private TemplateExpression ParseArithmetic(int level)
    {
        if (level == s_arithmetic.Length)
            return ParseUnary(withFilters: true);

        TemplateExpression left = ParseArithmetic(level + 1);
        if (AtOperator("~") && s_arithmetic[level][0] == "~")
        {
            int line = Current.Line;
            var operands = new List<TemplateExpression> { left };
            while (SkipOperator("~"))
                operands.Add(ParseArithmetic(level + 1));
            return new ConcatenationExpression(line, [.. operands]);
        }

        while (Current.Kind == TemplateTokenKind.Operator && s_arithmetic[level].Contains(Current.Text))
        {
            TemplateToken operation = Next();
            left = new ArithmeticExpression(operation.Line, operation.Text, left, ParseArithmetic(level + 1));
        }

        return left;
    }

    private TemplateExpression ParseUnary(bool withFilters)
    {
        TemplateExpression expression;
        if (AtOperator("-") || AtOperator("+"))
        {
            TemplateToken sign = Next();
            Enter();
            expression = new UnaryExpression(sign.Line, sign.Text, ParseUnary(withFilters: false));
            Leave();
        }
        else
            expression = ParsePrimary();

        expression = ParsePostfix(expression);
        return withFilters ? ParseFilters(expression) : expression;
    }

    private TemplateExpression ParsePrimary()
    {
        TemplateToken token = Next();
        switch (token.Kind)
        {
            case TemplateTokenKind.Name:
                return token.Text switch
                {
                    "true" or "True" => new LiteralExpression(token.Line, true),
                    "false" or "False" => new LiteralExpression(token.Line, false),
                    "none" or "None" => new LiteralExpression(token.Line, TemplateValue.None),
                    _ => new NameExpression(token.Line, token.Text),
                };
            case TemplateTokenKind.String:
                return ParseStrings(token);
            case TemplateTokenKind.Integer:
                return new LiteralExpression(token.Line, Integer(token));
            case TemplateTokenKind.Float:
                return new LiteralExpression(token.Line, TemplateValue.Float(double.Parse(token.Text, NumberStyles.Float, CultureInfo.InvariantCulture)));
            case TemplateTokenKind.Operator when token.Text == "(":
                Enter();
                TemplateExpression inner = ParseTuple(allowEmpty: true);
                Leave();
                ExpectOperator(")");
                return inner;
            case TemplateTokenKind.Operator when token.Text == "[":
                Enter();
                TemplateExpression[] items = ParseList("]");
                Leave();
                return new SequenceExpression(token.Line, items, isTuple: false);
            case TemplateTokenKind.Operator when token.Text == "{":
                Enter();
                TemplateExpression dictionary = ParseDictionary(token.Line);
                Leave();
                return dictionary;
            default:
                throw Unexpected(token, "an expression");
        }
    }

    /// <summary>Neighbouring string literals are one, as in Python.</summary>
    private LiteralExpression ParseStrings(TemplateToken first)
    {
        var text = new System.Text.StringBuilder(first.Text);
        while (Current.Kind == TemplateTokenKind.String)
            text.Append(Next().Text);
        string value = text.ToString();
        _attributes.Add(value);
        return new LiteralExpression(first.Line, value);
    }

    private static long Integer(TemplateToken token)
    {
        string text = token.Text;
        int numberBase = text.Length > 2 && text[0] == '0' ? char.ToLowerInvariant(text[1]) switch { 'x' => 16, 'o' => 8, 'b' => 2, _ => 10 } : 10;
        try
        {
            return numberBase == 10 ? long.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture) : Convert.ToInt64(text[2..], numberBase);
        }
        catch (Exception e) when (e is FormatException or OverflowException or ArgumentException)
        {
            throw TemplateError.At(token.Line, $"{TemplateText.Quote(text)} is not an integer of 64 bits");
        }
    }

    /// <summary>One expression, or several with commas between them: a tuple.</summary>
    private TemplateExpression ParseTuple(bool allowEmpty = false, bool withCondition = true)
    {
        int line = Current.Line;
        var items = new List<TemplateExpression>();
        bool isTuple = false;
        while (!AtTupleEnd())
        {
            items.Add(withCondition ? ParseExpression() : ParseOr());
            if (!SkipOperator(","))
                break;
            isTuple = true;
        }

        if (items.Count == 1 && !isTuple)
            return items[0];
        if (items.Count == 0 && !allowEmpty)
            throw Unexpected(Current, "an expression");
        return new SequenceExpression(line, [.. items], isTuple: true);
    }

    private bool AtTupleEnd() =>
        Current.Kind is TemplateTokenKind.BlockEnd or TemplateTokenKind.VariableEnd or TemplateTokenKind.End || AtOperator(")");

    /// <summary>Expressions with commas between them up to <paramref name="close"/>, which is consumed.</summary>
    private TemplateExpression[] ParseList(string close)
    {
        var items = new List<TemplateExpression>();
        while (!SkipOperator(close))
        {
            if (items.Count > 0)
                ExpectOperator(",");
            if (SkipOperator(close))
                break;
            items.Add(ParseExpression());
        }

        return [.. items];
    }

    private DictionaryExpression ParseDictionary(int line)
    {
        var pairs = new List<(TemplateExpression, TemplateExpression)>();
        while (!SkipOperator("}"))
        {
            if (pairs.Count > 0)
                ExpectOperator(",");
            if (SkipOperator("}"))
                break;
            TemplateExpression key = ParseExpression();
            ExpectOperator(":");
            pairs.Add((key, ParseExpression()));
        }

        return new DictionaryExpression(line, [.. pairs]);
    }

    private TemplateExpression ParsePostfix(TemplateExpression expression)
    {
        while (true)
        {
            if (SkipOperator("."))
                expression = ParseDot(expression);
            else if (AtOperator("["))
                expression = ParseSubscript(expression);
            else if (AtOperator("("))
                expression = new CallExpression(Current.Line, expression, ParseArguments());
            else
                return expression;
        }
    }

    private TemplateExpression ParseDot(TemplateExpression owner)
    {
        TemplateToken token = Next();
        if (token.Kind == TemplateTokenKind.Integer)
            return new ItemExpression(token.Line, owner, new LiteralExpression(token.Line, Integer(token)));
        if (token.Kind != TemplateTokenKind.Name)
            throw Unexpected(token, "a name after '.'");

        _attributes.Add(token.Text);
        return new AttributeExpression(token.Line, owner, token.Text);
    }

    private TemplateExpression ParseSubscript(TemplateExpression owner)
    {
        int line = Next().Line;
        Enter();
        TemplateExpression result;
        TemplateExpression? start = AtOperator(":") || AtOperator("]") ? null : ParseExpression();
        if (SkipOperator(":"))
        {
            TemplateExpression? stop = AtOperator(":") || AtOperator("]") ? null : ParseExpression();
            TemplateExpression? step = SkipOperator(":") && !AtOperator("]") ? ParseExpression() : null;
            result = new SliceExpression(line, owner, start, stop, step);
        }
        else if (AtOperator(","))
        {
            var keys = new List<TemplateExpression> { start ?? throw Unexpected(Current, "an expression") };
            while (SkipOperator(","))
                keys.Add(ParseExpression());
            result = new ItemExpression(line, owner, new SequenceExpression(line, [.. keys], isTuple: true));
        }
        else
        {
            // Empty brackets look up the empty tuple, which nothing has.
            result = new ItemExpression(line, owner, start ?? new SequenceExpression(line, [], isTuple: true));
        }

        Leave();
        ExpectOperator("]");
        return result;
    }

    private TemplateExpression ParseFilters(TemplateExpression expression)
    {
        while (true)
        {
            if (AtOperator("|"))
                expression = ParseFilter(expression);
            else if (AtName("is"))
                expression = ParseTest(expression);
            else if (AtOperator("("))
                expression = new CallExpression(Current.Line, expression, ParseArguments());
            else
                return expression;
        }
    }

    private FilterExpression ParseFilter(TemplateExpression subject)
    {
        ExpectOperator("|");
        return ParseFilterName(subject);
    }

    private FilterExpression ParseFilterName(TemplateExpression subject)
    {
        TemplateToken name = ExpectName("the name of a filter");
        return new FilterExpression(name.Line, subject, name.Text, AtOperator("(") ? ParseArguments() : ArgumentList.None);
    }

    private TemplateExpression ParseTest(TemplateExpression subject)
    {
        Next();
        bool negated = SkipName("not");
        TemplateToken name = ExpectName("the name of a test");
        ArgumentList arguments = ArgumentList.None;
        if (AtOperator("("))
            arguments = ParseArguments();
        else if (AtOperandOfTest())
        {
            Enter();
            arguments = ArgumentList.None with { Positional = [ParsePostfix(ParsePrimary())] };
            Leave();
        }

        TemplateExpression test = new TestExpression(name.Line, subject, name.Text, arguments);
        return negated ? new UnaryExpression(name.Line, "not", test) : test;
    }

    /// <summary>Whether a test's one argument follows without brackets, as in <c>is divisibleby 3</c>.</summary>
    private bool AtOperandOfTest() => Current.Kind switch
    {
        TemplateTokenKind.String or TemplateTokenKind.Integer or TemplateTokenKind.Float => true,
        TemplateTokenKind.Operator => Current.Text is "[" or "{",
        TemplateTokenKind.Name when Current.Text == "is" => throw Unexpected(Current, "the end of the test (tests cannot be chained)"),
        TemplateTokenKind.Name => Current.Text is not ("else" or "or" or "and" or "if" or "in" or "not"),
        _ => false,
    };

    private ArgumentList ParseArguments()
    {
        int line = Current.Line;
        ExpectOperator("(");
        Enter();
        var positional = new List<TemplateExpression>();
        var keywords = new List<(string, TemplateExpression)>();
        TemplateExpression? spread = null, spreadKeywords = null;
        bool isFirst = true;
        while (!SkipOperator(")"))
        {
            if (!isFirst)
                ExpectOperator(",");
            if (SkipOperator(")"))
                break;

            isFirst = false;
            if (spreadKeywords is null && SkipOperator("**"))
                spreadKeywords = ParseExpression();
            else if (spread is null && spreadKeywords is null && SkipOperator("*"))
                spread = ParseExpression();
            else if (spreadKeywords is null && Current.Kind == TemplateTokenKind.Name && Peek is { Kind: TemplateTokenKind.Operator, Text: "=" })
            {
                string name = Next().Text;
                Next();
                keywords.Add((name, ParseExpression()));
            }
            else if (spread is null && spreadKeywords is null && keywords.Count == 0)
                positional.Add(ParseExpression());
            else
                throw TemplateError.At(line, "positional arguments must stand before named ones");
        }

        Leave();
        return positional.Count == 0 && keywords.Count == 0 && spread is null && spreadKeywords is null
            ? ArgumentList.None
            : new ArgumentList([.. positional], [.. keywords], spread, spreadKeywords);
    }
}
