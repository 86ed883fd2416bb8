namespace Tern.Text.Templates;

/// <summary>Arithmetic, equality and order, with the results of Python and 64-bit integers that fail instead of wrapping.</summary>
internal static class TemplateOperators
{
    public static TemplateValue Arithmetic(TemplateRenderer renderer, string operation, TemplateValue a, TemplateValue b)
    {
        if (a.IsNumber && b.IsNumber)
            return Numbers(renderer, operation, a, b);

        return operation switch
        {
            "+" when a.IsString && b.IsString => Join(renderer, a.AsString, b.AsString),
            "+" when a.IsSequence && a.Kind == b.Kind => Join(renderer, a, b),
            "*" when b.IsIntegral && (a.IsString || a.IsSequence) => Repeat(renderer, a, b.AsLong),
            "*" when a.IsIntegral && (b.IsString || b.IsSequence) => Repeat(renderer, b, a.AsLong),
            "%" when a.IsString => TemplateFormat.Percent(renderer, a.AsString, b.Kind == TemplateKind.Tuple ? b.AsList.Items : [b]),
            _ => throw Unsupported(renderer, operation, a, b),
        };
    }

    /// <summary><c>+a</c> or <c>-a</c>.</summary>
    public static TemplateValue Sign(TemplateRenderer renderer, TemplateValue value, string operation) => value.Kind switch
    {
        TemplateKind.Float => operation == "-" ? TemplateValue.Float(-value.AsDouble) : value,
        TemplateKind.Boolean or TemplateKind.Integer => operation != "-" ? value.AsLong
            : value.AsLong == long.MinValue ? throw Overflow(renderer) : -value.AsLong,
        TemplateKind.Undefined => throw renderer.Fail($"'{value.UndefinedName}' is undefined"),
        _ => throw renderer.Fail($"'{operation}' needs a number, not '{value.TypeName}'"),
    };

    public static bool Compare(TemplateRenderer renderer, string operation, TemplateValue a, TemplateValue b) => operation switch
    {
        "==" => AreEqual(renderer, a, b),
        "!=" => !AreEqual(renderer, a, b),
        "<" => Order(renderer, operation, a, b) < 0,
        "<=" => Order(renderer, operation, a, b) <= 0,
        ">" => Order(renderer, operation, a, b) > 0,
        ">=" => Order(renderer, operation, a, b) >= 0,
        "in" => Contains(renderer, b, a),
        _ => !Contains(renderer, b, a),
    };

    public static bool AreEqual(TemplateRenderer renderer, TemplateValue a, TemplateValue b)
    {
        if (a.IsString && b.IsString)
        {
            if (a.AsString.Length == b.AsString.Length)
                renderer.ChargeText(a.AsString.Length);
            return a.AsString == b.AsString;
        }

        if (a.IsNumber && b.IsNumber)
            return a.IsIntegral && b.IsIntegral ? a.AsLong == b.AsLong : a.AsDouble == b.AsDouble;
        if (a.IsSequence && a.Kind == b.Kind)
            return ListsEqual(renderer, a.AsList, b.AsList);
        if (a.Kind == TemplateKind.Dictionary && b.Kind == TemplateKind.Dictionary)
            return DictionariesEqual(renderer, a.AsDictionary, b.AsDictionary);
        return a.SameAs(b);
    }

    /// <summary>Order of two values that Python can order: numbers, strings by code unit, lists or tuples by elements. Not-a-number is after all.</summary>
    /// <returns>Negative, zero or positive.</returns>
    public static int Order(TemplateRenderer renderer, string operation, TemplateValue a, TemplateValue b)
    {
        if (a.IsNumber && b.IsNumber)
            return a.IsIntegral && b.IsIntegral ? a.AsLong.CompareTo(b.AsLong) : a.AsDouble < b.AsDouble ? -1 : a.AsDouble == b.AsDouble ? 0 : 1;
        if (a.IsString && b.IsString)
        {
            renderer.ChargeText(Math.Min(a.AsString.Length, b.AsString.Length));
            return string.CompareOrdinal(a.AsString, b.AsString);
        }

        if (!a.IsSequence || a.Kind != b.Kind)
            throw Unsupported(renderer, operation, a, b);

        renderer.Enter();
        int order = 0;
        for (int i = 0; order == 0 && i < Math.Min(a.AsList.Count, b.AsList.Count); i++)
        {
            renderer.Charge(1);
            if (!AreEqual(renderer, a.AsList[i], b.AsList[i]))
                order = Order(renderer, operation, a.AsList[i], b.AsList[i]);
        }

        renderer.Leave();
        return order != 0 ? order : a.AsList.Count.CompareTo(b.AsList.Count);
    }

    /// <summary><c>item in container</c>.</summary>
    public static bool Contains(TemplateRenderer renderer, TemplateValue container, TemplateValue item)
    {
        switch (container.Kind)
        {
            case TemplateKind.Undefined:
                return false;
            case TemplateKind.Dictionary:
                return container.AsDictionary.TryGet(Key(renderer, item), out _);
            case TemplateKind.String:
                return item.IsString ? TemplateSearch.IndexOf(renderer, container.AsString, item.AsString) >= 0
                    : throw renderer.Fail($"'in' a string needs a string on its left, not '{item.TypeName}'");
            case TemplateKind.List or TemplateKind.Tuple:
                for (int i = 0; i < container.AsList.Count; i++)
                {
                    renderer.Charge(1);
                    if (AreEqual(renderer, container.AsList[i], item))
                        return true;
                }

                return false;
            default:
                throw renderer.Fail($"'in' needs something to look into, not '{container.TypeName}'");
        }
    }

    /// <summary>A value as a dictionary key.</summary>
    /// <exception cref="TernException">The value can change: a list or a dictionary, or a tuple that holds one.</exception>
    public static TemplateKey Key(TemplateRenderer renderer, TemplateValue value)
    {
        switch (value.Kind)
        {
            case TemplateKind.String:
                renderer.ChargeText(value.AsString.Length);
                return new TemplateKey(value);
            case TemplateKind.Tuple:
                var text = new TemplateTextBuilder(renderer);
                SpellKey(text, value);
                return new TemplateKey(value, text.ToString());
            case TemplateKind.List or TemplateKind.Dictionary:
                throw renderer.Fail($"a value of type '{value.TypeName}' cannot be a key");
            default:
                return new TemplateKey(value);
        }
    }

    /// <summary>Writes a key so that two keys have the same text exactly if they are equal: each string after its length, numbers without their type.</summary>
    private static void SpellKey(TemplateTextBuilder text, TemplateValue value)
    {
        if (value.Kind == TemplateKind.Tuple)
        {
            text.Renderer.Enter();
            text.Append('(');
            for (int i = 0; i < value.AsList.Count; i++)
            {
                text.Renderer.Charge(1);
                SpellKey(text, value.AsList[i]);
            }

            text.Append(')');
            text.Renderer.Leave();
        }
        else if (value.IsString)
            text.Append($"s{value.AsString.Length}:").Append(value.AsString);
        else if (value.IsNumber)
            text.Append(value.IsIntegral ? $"n{value.AsLong};" : $"n{TemplateText.Integral(value.AsDouble)};");
        else if (value.IsNone)
            text.Append('N');
        else
            throw text.Renderer.Fail($"a tuple that holds a value of type '{value.TypeName}' cannot be a key");
    }

    private static TemplateValue Numbers(TemplateRenderer renderer, string operation, TemplateValue a, TemplateValue b)
    {
        bool divides = operation is "/" or "//" or "%";
        if (divides && b.AsDouble == 0)
            throw renderer.Fail("division by zero");

        bool whole = a.IsIntegral && b.IsIntegral && operation != "/" && !(operation == "**" && b.AsLong < 0);
        try
        {
            return whole ? Integers(operation, a.AsLong, b.AsLong) : TemplateValue.Float(Floats(operation, a.AsDouble, b.AsDouble));
        }
        catch (OverflowException)
        {
            throw Overflow(renderer);
        }
    }

    private static long Integers(string operation, long a, long b) => checked(operation switch
    {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "//" => a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0),
        "%" => b == -1 ? 0 : a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0),
        _ => Power(a, b),
    });

    private static double Floats(string operation, double a, double b) => operation switch
    {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" => a / b,
        "//" => Math.Floor(a / b),
        "%" => a - b * Math.Floor(a / b),
        _ => Math.Pow(a, b),
    };

    /// <summary>Power by squaring; overflows before it could take long.</summary>
    private static long Power(long a, long exponent)
    {
        long result = 1;
        while (exponent > 0)
        {
            if ((exponent & 1) != 0)
                result = checked(result * a);
            exponent >>= 1;
            if (exponent > 0)
                a = checked(a * a);
        }

        return result;
    }

    private static string Join(TemplateRenderer renderer, string a, string b)
    {
        renderer.ChargeText((long)a.Length + b.Length);
        renderer.Allocate(2L * ((long)a.Length + b.Length));
        return a + b;
    }

    private static TemplateValue Join(TemplateRenderer renderer, TemplateValue a, TemplateValue b)
    {
        List<TemplateValue> items = renderer.NewItems((long)a.AsList.Count + b.AsList.Count);
        for (int i = 0; i < a.AsList.Count; i++)
            items.Add(a.AsList[i]);
        for (int i = 0; i < b.AsList.Count; i++)
            items.Add(b.AsList[i]);
        return TemplateAccess.SameKind(a, items);
    }

    private static TemplateValue Repeat(TemplateRenderer renderer, TemplateValue value, long times)
    {
        // Held below 2^31 so that the products below cannot overflow; what is larger exceeds every budget anyway.
        times = Math.Clamp(times, 0, int.MaxValue);
        if (value.IsString)
        {
            if (value.AsString.Length == 0)
                return value;
            var text = new TemplateTextBuilder(renderer);
            for (long i = 0; i < times; i++)
                text.Append(value.AsString);
            return text.ToString();
        }

        long count = times * value.AsList.Count;
        List<TemplateValue> items = renderer.NewItems(count);
        while (items.Count < count)
            for (int i = 0; i < value.AsList.Count; i++)
                items.Add(value.AsList[i]);
        return TemplateAccess.SameKind(value, items);
    }

    private static bool ListsEqual(TemplateRenderer renderer, TemplateList a, TemplateList b)
    {
        if (ReferenceEquals(a, b) || a.Count != b.Count)
            return a.Count == b.Count;

        renderer.Enter();
        bool equal = true;
        for (int i = 0; equal && i < a.Count; i++)
        {
            renderer.Charge(1);
            equal = AreEqual(renderer, a[i], b[i]);
        }

        renderer.Leave();
        return equal;
    }

    private static bool DictionariesEqual(TemplateRenderer renderer, TemplateDictionary a, TemplateDictionary b)
    {
        if (ReferenceEquals(a, b) || a.Count != b.Count)
            return a.Count == b.Count;

        renderer.Enter();
        bool equal = true;
        for (int i = 0; equal && i < a.Count; i++)
        {
            renderer.Charge(1);
            equal = b.TryGet(a[i].Key, out TemplateValue other) && AreEqual(renderer, a[i].Value, other);
        }

        renderer.Leave();
        return equal;
    }

    private static TernException Overflow(TemplateRenderer renderer) => renderer.Fail("the result does not fit a 64-bit integer");

    private static TernException Unsupported(TemplateRenderer renderer, string operation, TemplateValue a, TemplateValue b) =>
        a.IsUndefined || b.IsUndefined
            ? renderer.Fail($"'{(a.IsUndefined ? a : b).UndefinedName}' is undefined")
            : renderer.Fail($"'{operation}' is not defined between '{a.TypeName}' and '{b.TypeName}'");
}
